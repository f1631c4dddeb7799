"""What an operator asks for: the DemandPolicy schema, its CRD and files, and the values they give.

Imports decision, limits and hpa; the home of yaml. Used by control, simulation, adapters, commands.
"""
