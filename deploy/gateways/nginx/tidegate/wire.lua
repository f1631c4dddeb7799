-- An HTTP/1.1 client on nginx's sockets, for Debian has no lua-resty-http. Only the poller uses it.
--
-- Whatever the other side does, a request ends within `longest_s`, and takes no more than MOST_BYTES: an
-- endpoint that sends a byte now and then, or garbage without an end, holds up nothing.

local clock = require "tidegate.clock"

local tcp = ngx.socket.tcp

local _M = {}

local CONNECT_MS, SEND_MS = 1000, 1000
local RESOLVE_S = 30 -- nginx's own `resolver_timeout`, unless it is set
local MOST_BYTES = 1024 * 1024
local PART_BYTES = 64 * 1024
local MOST_HEADERS = 100
local IDLE_MS = 60000

-- Returns the seconds after which a request has ended that may take `within_s`, counted from its
-- connection: it may be tried on a connection of the pool first.
function _M.longest_s(within_s)
    return RESOLVE_S + 2 * within_s + 3 * (CONNECT_MS + SEND_MS) / 1000
end

-- Returns the parts of `http(s)://host[:port]`; nil if `url` is none.
--
-- server_name: the name that the certificate must have; verify: whether it must be valid.
function _M.endpoint(url, server_name, verify)
    local scheme, authority = url:match("^(https?)://([^/?#@]+)/?$")
    if not scheme then
        return nil
    end
    local host, port = authority:match("^(%[[%x:.]+%])(.*)$")
    if not host then
        host, port = authority:match("^([^:%[%]]+)(.*)$")
    end
    if port == "" then
        port = scheme == "https" and ":443" or ":80"
    end
    port = host and port:match("^:(%d+)$")
    if not port then
        return nil
    end
    return {
        tls = scheme == "https", host = host, port = tonumber(port), authority = authority,
        server_name = server_name or host, verify = verify,
    }
end

local function connected(endpoint)
    local sock = tcp()
    sock:settimeouts(CONNECT_MS, SEND_MS, CONNECT_MS)
    local ok, err = sock:connect(endpoint.host, endpoint.port)
    if not ok then
        return nil, "cannot connect: " .. err
    end
    local reused = sock:getreusedtimes() > 0
    if endpoint.tls and not reused then
        ok, err = sock:sslhandshake(nil, endpoint.server_name, endpoint.verify)
        if not ok then
            sock:close()
            return nil, "TLS handshake failed: " .. err
        end
    end
    return sock, nil, reused
end

-- What comes over a socket until a deadline, and is not read yet.
local Incoming = {}
Incoming.__index = Incoming

local function incoming(sock, deadline)
    return setmetatable({ sock = sock, deadline = deadline, buffer = "", total = 0 }, Incoming)
end

-- Waits for more; returns nil and why there is none.
function Incoming:more()
    local left_s = self.deadline - clock()
    if left_s <= 0 then
        return nil, "timeout"
    end
    self.sock:settimeouts(CONNECT_MS, SEND_MS, left_s * 1000)
    local part, err = self.sock:receiveany(PART_BYTES)
    if not part then
        return nil, err
    end
    self.buffer, self.total = self.buffer .. part, self.total + #part
    if self.total > MOST_BYTES then
        return nil, "the answer is longer than " .. MOST_BYTES .. " bytes"
    end
    return true
end

-- Returns a line without its end; or nil and what went wrong.
function Incoming:line()
    local from = 1
    while true do
        local stop = self.buffer:find("\n", from, true)
        if stop then
            local line = self.buffer:sub(1, stop - 1):gsub("\r$", "")
            self.buffer = self.buffer:sub(stop + 1)
            return line
        end
        from = #self.buffer + 1
        local ok, err = self:more()
        if not ok then
            return nil, err
        end
    end
end

-- Returns so many bytes; or nil and what went wrong.
function Incoming:bytes(count)
    while #self.buffer < count do
        local ok, err = self:more()
        if not ok then
            return nil, err
        end
    end
    local found = self.buffer:sub(1, count)
    self.buffer = self.buffer:sub(count + 1)
    return found
end

local function read_head(answer)
    local line, err = answer:line()
    if not line then
        return nil, nil, err
    end
    local status = tonumber(line:match("^HTTP/1%.%d (%d%d%d)"))
    if not status then
        return nil, nil, "it is no HTTP: " .. line:sub(1, 80)
    end
    local headers = {}
    for _ = 1, MOST_HEADERS do
        line, err = answer:line()
        if not line then
            return nil, nil, err
        elseif line == "" then
            return status, headers
        end
        local name, value = line:match("^([^:%s]+):%s*(.-)%s*$")
        if name then
            headers[name:lower()] = value
        end
    end
    return nil, nil, "more than " .. MOST_HEADERS .. " headers"
end

local function read_chunks(answer)
    local chunks = {}
    while true do
        local line, err = answer:line()
        local size = line and tonumber(line:match("^(%x+)"), 16)
        if not size then
            return nil, err or "a chunk has no size"
        elseif size > MOST_BYTES then
            return nil, "a chunk is longer than " .. MOST_BYTES .. " bytes"
        end
        chunks[#chunks + 1], err = answer:bytes(size)
        if err then
            return nil, err
        end
        repeat -- the end of the chunk; behind the last one there may be trailers
            line, err = answer:line()
            if not line then
                return nil, err
            end
        until line == "" or size > 0
        if size == 0 then
            return table.concat(chunks)
        end
    end
end

local function read_body(answer, status, headers)
    if status == 204 or status == 304 then
        return ""
    end
    if (headers["transfer-encoding"] or ""):lower() == "chunked" then
        return read_chunks(answer)
    end
    local length = tonumber(headers["content-length"])
    if not length then
        return nil, "the answer has neither a length nor chunks"
    elseif not (length >= 0 and length <= MOST_BYTES) then
        return nil, "the body is longer than " .. MOST_BYTES .. " bytes"
    end
    local body, err = answer:bytes(length)
    return body, err and "the body was cut short: " .. err
end

-- Returns the response, and whether the connection can be used again; or nil, what went wrong, and
-- whether a response had begun.
local function exchange(sock, message, within_s)
    sock:settimeouts(CONNECT_MS, SEND_MS, within_s * 1000)
    local sent, err = sock:send(message)
    if not sent then
        return nil, err
    end
    local answer = incoming(sock, clock() + within_s)
    local status, headers, body
    repeat
        status, headers, err = read_head(answer)
    until not status or status >= 200
    if not status then
        return nil, "no answer: " .. err, answer.total > 0
    end
    body, err = read_body(answer, status, headers)
    if not body then
        return nil, err, true
    end
    -- After a refusal the name is resolved anew: it may be of another one by now.
    local is_reusable = (status == 200 or status == 304) and answer.buffer == ""
        and (headers.connection or ""):lower() ~= "close"
    return { status = status, headers = headers, body = body }, is_reusable
end

-- Sends one request and returns its response {status, headers, body}; or nil and what went wrong.
--
-- asked: {method, path, headers, body}; within_s: time that the response may take.
function _M.request(endpoint, asked, within_s)
    local lines = { asked.method .. " " .. asked.path .. " HTTP/1.1", "Host: " .. endpoint.authority }
    for name, value in pairs(asked.headers) do
        lines[#lines + 1] = name .. ": " .. value
    end
    if asked.body then
        lines[#lines + 1] = "Content-Type: application/json"
        lines[#lines + 1] = "Content-Length: " .. #asked.body
    end
    local message = table.concat(lines, "\r\n") .. "\r\n\r\n" .. (asked.body or "")
    while true do
        local sock, err, reused = connected(endpoint)
        if not sock then
            return nil, err
        end
        local answer, said, begun = exchange(sock, message, within_s)
        if answer and said then
            sock:setkeepalive(IDLE_MS, 4)
        else
            sock:close()
        end
        -- The endpoint may just have closed a pooled connection, so a new one is tried.
        if answer or begun or not reused or said:find("timeout", 1, true) then
            return answer, said
        end
    end
end

return _M
