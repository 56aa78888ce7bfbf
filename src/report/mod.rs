//! Data in, text out. Knows no target.
