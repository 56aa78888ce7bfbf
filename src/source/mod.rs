//! Where desired state comes from: commits of a Git repository, read from the object database, never a checkout.
