//! Bytes that live in protected pages, zeroize, never print, never clone.
