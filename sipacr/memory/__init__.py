"""The memory: who talked to whom, and what follows of it for the next call (product.md, "The memory").

Pure: nothing here knows a clock, a file or a socket. Calls come in as `report.Report`, rows go out as `facts.Binding`.
"""
