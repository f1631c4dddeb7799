-- An HTTP/1.1 client on nginx's sockets, for Debian has no lua-resty-http. Only the poller uses it.

local tcp = ngx.socket.tcp

local _M = {}

local CONNECT_MS, SEND_MS = 1000, 1000
local MOST_BYTES = 1024 * 1024
local MOST_HEADERS = 100
local IDLE_MS = 60000

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

local function read_head(sock)
    local line, err = sock:receive()
    if not line then
        return nil, nil, err
    end
    local status = tonumber(line:match("^HTTP/1%.%d (%d%d%d)"))
    if not status then
        return nil, nil, "it is no HTTP: " .. line:sub(1, 80)
    end
    local headers = {}
    for _ = 1, MOST_HEADERS do
        line, err = sock:receive()
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

local function read_chunks(sock)
    local chunks, total = {}, 0
    while true do
        local line, err = sock:receive()
        local size = line and tonumber(line:match("^(%x+)"), 16)
        if not size then
            return nil, err or "a chunk has no size"
        end
        total = total + size
        if total > MOST_BYTES then
            return nil, "the body is longer than " .. MOST_BYTES .. " bytes"
        end
        if size > 0 then
            chunks[#chunks + 1], err = sock:receive(size)
            if err then
                return nil, err
            end
        end
        line, err = sock:receive()
        if not line then
            return nil, err
        end
        while size == 0 and line ~= "" do -- trailers
            line, err = sock:receive()
            if not line then
                return nil, err
            end
        end
        if size == 0 then
            return table.concat(chunks)
        end
    end
end

local function read_body(sock, status, headers)
    if status == 204 or status == 304 then
        return ""
    end
    if (headers["transfer-encoding"] or ""):lower() == "chunked" then
        return read_chunks(sock)
    end
    local length = tonumber(headers["content-length"])
    if not length then
        return nil, "the answer has neither a length nor chunks"
    elseif length > MOST_BYTES then
        return nil, "the body is longer than " .. MOST_BYTES .. " bytes"
    elseif length == 0 then
        return ""
    end
    local body, err = sock:receive(length)
    return body, err and "the body was cut short: " .. err
end

local function exchange(sock, message, read_ms)
    sock:settimeouts(CONNECT_MS, SEND_MS, read_ms)
    local sent, err = sock:send(message)
    if not sent then
        return nil, err
    end
    local status, headers, body
    repeat
        status, headers, err = read_head(sock)
    until not status or status >= 200
    if not status then
        return nil, "no answer: " .. err
    end
    body, err = read_body(sock, status, headers)
    if not body then
        return nil, err, true
    end
    return { status = status, headers = headers, body = body }
end

-- Sends one request and returns its response {status, headers, body}; or nil and what went wrong.
--
-- asked: {method, path, headers, body}; read_s: time limit for each part of the response.
function _M.request(endpoint, asked, read_s)
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
        local answer, fault, begun = exchange(sock, message, read_s * 1000)
        if answer then
            if (answer.headers.connection or ""):lower() == "close" then
                sock:close()
            else
                sock:setkeepalive(IDLE_MS, 4)
            end
            return answer
        end
        sock:close()
        -- The endpoint may just have closed a pooled connection, so a new one is tried.
        if begun or not reused or fault:find("timeout", 1, true) then
            return nil, fault
        end
    end
end

return _M
