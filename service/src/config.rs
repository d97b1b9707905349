//! Configuration: environment variables, read from a map so that tests need no process state. All bad values are reported together.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A value that must never be shown: its `Debug` is redacted and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The secret itself, for the call that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Every problem found in the configuration, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration can't be used:\n  {}", .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

/// What one setting has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Setting {
    /// It was set.
    Set(String),
    /// It was not, and this stands in.
    Default(String),
    /// It was not, and nothing stands in.
    Unset,
    /// A secret that was set. Its value is not kept.
    Secret,
}

/// What a process has read of its configuration: for people to look at, secrets left out. Grows as the settings are read.
#[derive(Debug, Clone, Default)]
pub struct Effective(Arc<Mutex<BTreeMap<String, Setting>>>);

impl Effective {
    fn note(&self, key: &str, setting: Setting) {
        self.lock().insert(key.to_owned(), setting);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Setting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Effective {
    /// One setting a line: `KEY=value`, with a remark where the value is not one that was set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, setting) in &*self.lock() {
            match setting {
                Setting::Set(value) => writeln!(f, "{key}={value}")?,
                Setting::Default(value) => writeln!(f, "{key}={value}  # default")?,
                Setting::Unset => writeln!(f, "# {key} is not set")?,
                Setting::Secret => writeln!(f, "{key}=(redacted)")?,
            }
        }
        Ok(())
    }
}

/// Prefix of this project's variables.
const PREFIX: &str = "GOPCAST_";

/// Reads settings from a map of environment variables and remembers what was wrong.
#[derive(Debug)]
pub struct Env {
    vars: BTreeMap<String, String>,
    problems: Vec<String>,
    effective: Effective,
}

impl Env {
    /// The process's environment. Variables that are not UTF-8 are left out.
    #[must_use]
    pub fn process() -> Self {
        Self::from_vars(
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        )
    }

    /// Settings from anywhere.
    #[must_use]
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { vars: vars.into_iter().collect(), problems: Vec::new(), effective: Effective::default() }
    }

    /// What is read, now and later.
    #[must_use]
    pub fn effective(&self) -> Effective {
        self.effective.clone()
    }

    /// Variables of this project that are set and have not been read so far: of another process, or misspelled.
    pub fn unread(&self) -> impl Fn(&Effective) -> Vec<String> + use<> {
        let ours: Vec<_> = self.vars.keys().filter(|key| key.starts_with(PREFIX)).cloned().collect();
        move |effective| {
            let read = effective.lock();
            ours.iter().filter(|key| !read.contains_key(*key)).cloned().collect()
        }
    }

    /// The value of `key`, if it is set and not empty.
    pub fn optional<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let Some(text) = self.vars.get(key).filter(|text| !text.is_empty()) else {
            self.effective.note(key, Setting::Unset);
            return None;
        };
        self.effective.note(key, Setting::Set(text.clone()));
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(format!("{key}: {error}"));
                None
            }
        }
    }

    /// The value of `key`, or `default`.
    pub fn or<T>(&mut self, key: &str, default: T) -> T
    where
        T: FromStr + fmt::Display,
        T::Err: fmt::Display,
    {
        if self.vars.get(key).is_none_or(String::is_empty) {
            self.effective.note(key, Setting::Default(default.to_string()));
            return default;
        }
        self.optional(key).unwrap_or(default)
    }

    /// The value of `key`; a problem when it is missing. `placeholder` stands in until [`Env::finish`] reports it.
    pub fn required<T>(&mut self, key: &str, what: &str, placeholder: T) -> T
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        if self.vars.get(key).is_none_or(String::is_empty) {
            self.problems.push(format!("{key} is not set: it gives {what}"));
            self.effective.note(key, Setting::Unset);
            return placeholder;
        }
        self.optional(key).unwrap_or(placeholder)
    }

    /// A secret; a problem when it is missing or shorter than `min` bytes. The problem never shows the value.
    pub fn secret(&mut self, key: &str, what: &str, min: usize) -> Secret {
        let text = self.vars.get(key).cloned().unwrap_or_default();
        self.effective.note(key, if text.is_empty() { Setting::Unset } else { Setting::Secret });
        if text.len() < min {
            self.problems.push(format!("{key} must hold {what}, at least {min} characters"));
        }
        Secret(text)
    }

    /// Notes a problem found by the caller.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    /// # Errors
    /// All problems met so far.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError(self.problems)) }
    }
}

/// Shortest shared secret accepted: 128 bits spelled in hexadecimal.
const HOP_SECRET_MIN: usize = 32;

/// What every service needs to reach the shared parts.
#[derive(Debug, Clone)]
pub struct Shared {
    /// `GOPCAST_BUCKET`: the bucket of chunks, segments and manifests.
    pub bucket: String,
    /// `GOPCAST_TABLE`: the DynamoDB table.
    pub table: String,
}

impl Shared {
    /// Reads the settings.
    pub fn read(env: &mut Env) -> Self {
        Self {
            bucket: env.required("GOPCAST_BUCKET", "the name of the S3 bucket", String::new()),
            table: env.required("GOPCAST_TABLE", "the name of the DynamoDB table", String::new()),
        }
    }
}

/// `GOPCAST_HOP_SECRET`: what the gateway and the encoders sign the private hop with.
pub fn hop_secret(env: &mut Env) -> Secret {
    env.secret("GOPCAST_HOP_SECRET", "the secret that the gateway and the encoders share", HOP_SECRET_MIN)
}

/// What Lambda sets for every function. The runtime panics without it; read here, it is reported with the rest.
pub fn runtime_api(env: &mut Env) {
    let _: String = env.required("AWS_LAMBDA_RUNTIME_API", "the address of the Runtime API", String::new());
    let _: String = env.required("AWS_LAMBDA_FUNCTION_NAME", "the function's name", String::new());
    let _: String = env.required("AWS_LAMBDA_FUNCTION_VERSION", "the function's version", String::new());
    let _: i32 = env.required("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "the function's memory in MB", 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> Env {
        Env::from_vars(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn all_problems_are_reported_at_once_and_no_secret_is_shown() {
        let mut env = env(&[("A_PORT", "http"), ("GOPCAST_HOP_SECRET", "hunter2"), ("GOPCAST_BUCKET", "b")]);
        let _: u16 = env.or("A_PORT", 1);
        let shared = Shared::read(&mut env);
        let secret = hop_secret(&mut env);
        assert_eq!(shared.bucket, "b");
        assert!(!format!("{secret:?}").contains("hunter2"));
        let error = env.finish().unwrap_err();
        assert_eq!(error.0.len(), 3, "{error}");
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn what_is_read_is_shown_and_secrets_are_not() {
        let secret = "0123456789abcdef0123456789abcdef";
        let mut env = env(&[
            ("A", "5"),
            ("GOPCAST_HOP_SECRET", secret),
            ("GOPCAST_BUCKET", "b"),
            ("GOPCAST_BUKCET", "typo"),
            ("OTHER", "x"),
        ]);
        let (effective, unread) = (env.effective(), env.unread());
        let _: u16 = env.or("A", 1);
        let _: u16 = env.or("B", 1);
        let _: Option<u16> = env.optional("C");
        Shared::read(&mut env);
        hop_secret(&mut env);
        let shown = "A=5\nB=1  # default\n# C is not set\nGOPCAST_BUCKET=b\nGOPCAST_HOP_SECRET=(redacted)\n# GOPCAST_TABLE is not set\n";
        assert_eq!(effective.to_string(), shown);
        assert!(!format!("{effective:?}").contains(secret));
        assert_eq!(unread(&effective), ["GOPCAST_BUKCET"]);
    }

    #[test]
    fn defaults_and_values() {
        let mut env = env(&[("A", "5"), ("EMPTY", "")]);
        assert_eq!(env.or("A", 1), 5);
        assert_eq!(env.or("B", 1), 1);
        assert_eq!(env.or("EMPTY", 7), 7);
        assert!(env.finish().is_ok());
    }
}
