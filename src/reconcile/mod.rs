//! The doing, through traits only: observe, apply, retry, limit, settle.
