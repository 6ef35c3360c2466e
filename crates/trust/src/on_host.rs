//! Placeholder types until the real ones are merged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnHost {
    system_store: bool,
    java: bool,
    files: Vec<FilePlace>,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlace {
    path: String,
    owner: Option<String>,
    group: Option<String>,
    mode: Option<u32>,
    hook: Option<String>,
}
#[derive(Debug, thiserror::Error)]
#[error("bad")]
pub struct BadPlaceOnHost;
impl OnHost {
    pub fn new(system_store: bool, java: bool, files: Vec<FilePlace>) -> Result<Self, BadPlaceOnHost> {
        Ok(Self { system_store, java, files })
    }
    pub fn system_store(&self) -> bool {
        self.system_store
    }
    pub fn java(&self) -> bool {
        self.java
    }
    pub fn files(&self) -> &[FilePlace] {
        &self.files
    }
    pub fn is_nowhere(&self) -> bool {
        !self.system_store && !self.java && self.files.is_empty()
    }
}
impl FilePlace {
    pub fn new(
        path: String,
        owner: Option<String>,
        group: Option<String>,
        mode: Option<u32>,
        hook: Option<String>,
    ) -> Result<Self, BadPlaceOnHost> {
        Ok(Self { path, owner, group, mode, hook })
    }
    pub fn path(&self) -> &str {
        &self.path
    }
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }
    pub fn mode(&self) -> Option<u32> {
        self.mode
    }
    pub fn hook(&self) -> Option<&str> {
        self.hook.as_deref()
    }
}
impl base::Explain for BadPlaceOnHost {
    fn kind(&self) -> base::Kind {
        base::Kind::Invalid
    }
}
