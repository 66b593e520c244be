//! The data plane: file format, DEK cache, rewrap, census. Local I/O only.
