use std::time::Duration;

/// How large anything that comes from outside may be, and how long it may take. The operator may raise them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one file of a repository.
    pub file: u64,
    /// Files of one project.
    pub files: usize,
    /// How deep folders of a repository may be nested.
    pub folder_depth: usize,
    /// YAML documents of one project.
    pub documents: usize,
    /// Values of all documents of one project.
    pub nodes: usize,
    /// How deep a value may be nested.
    pub depth: usize,
    /// How many times its source's size an expanded document may have.
    pub alias_factor: usize,
    /// Bytes of the body of one page.
    pub page: usize,
    /// Bytes of one object of an API.
    pub object: usize,
    /// Pages of one list.
    pub pages: usize,
    /// Bytes of one answer's headers.
    pub header: usize,
    /// Time for a `git` child that stays on this machine.
    pub git_local: Duration,
    /// Time for a `git fetch` of a source.
    pub git_fetch: Duration,
    /// Time for one exchange with the record's remote.
    pub git_push: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file: 4 << 20,
            files: 50_000,
            folder_depth: 32,
            documents: 100_000,
            nodes: 5_000_000,
            depth: 64,
            alias_factor: 10,
            page: 64 << 20,
            object: 1 << 20,
            pages: 10_000,
            header: 64 << 10,
            git_local: Duration::from_secs(30),
            git_fetch: Duration::from_secs(120),
            git_push: Duration::from_secs(10),
        }
    }
}
