//! Two values in, field changes out. Pure.
