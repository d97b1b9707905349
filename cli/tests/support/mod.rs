//! Reading the repository's sources and pages.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that can't read the work tree has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders without sources of ours.
const SKIPPED: [&str; 9] =
    ["target", "node_modules", "dist", ".git", "data", "corpus", ".terraform", ".gopcast", "docs"];
/// What has settings, events or commands in it.
const ENDINGS: [&str; 9] = ["rs", "sh", "py", "mjs", "js", "tf", "yml", "yaml", "toml"];

/// A file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// The text without unit tests, where made-up names are.
    pub(crate) fn code(&self) -> String {
        let is_test = self.path.file_name().is_some_and(|name| name == "tests.rs");
        let is_this = self.path.starts_with(root().join("cli/tests"));
        if is_test || is_this {
            return String::new();
        }
        self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
    }

    /// Whether it is of one of the three services.
    pub(crate) fn is_service(&self) -> bool {
        ["ingest-edge", "gateway-fn", "events-fn", "encoder-task", "service"]
            .iter()
            .any(|name| self.path.starts_with(root().join(name).join("src")))
    }

    /// The names of the events that it sends.
    pub(crate) fn events(&self) -> Vec<String> {
        let code = self.code();
        let calls = code.split("event!(").skip(1);
        calls
            .filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next().map(str::to_owned))
            .collect()
    }
}

/// The work tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A file of the work tree.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A page.
pub(crate) fn doc(name: &str) -> String {
    read(&format!("docs/{name}"))
}

/// All sources: programs, scripts, infrastructure.
pub(crate) fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let wanted = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Files without an ending are scripts, Dockerfiles and the Makefile.
        !name.contains('.') || path.extension().is_some_and(|end| ENDINGS.iter().any(|known| end == *known))
    };
    walk(&root(), &wanted, &mut found);
    found
}

/// All pages, the README included.
pub(crate) fn pages() -> Vec<Source> {
    let mut found = Vec::new();
    let is_page = |path: &Path| path.extension().is_some_and(|end| end == "md");
    walk(&root(), &is_page, &mut found);
    walk(&root().join("docs"), &is_page, &mut found);
    found
}

fn walk(dir: &Path, wanted: &impl Fn(&Path) -> bool, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_symlink() || SKIPPED.contains(&name) {
            continue;
        }
        if path.is_dir() {
            walk(&path, wanted, found);
        } else if wanted(&path)
            && let Ok(text) = fs::read_to_string(&path)
        {
            found.push(Source { path, text });
        }
    }
}

/// The names in a text that begin with `prefix`.
pub(crate) fn words(text: &str, prefix: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.match_indices(prefix)
        .filter(|(at, _)| !text[..*at].ends_with(is_part))
        .map(|(at, _)| text[at..].chars().take_while(|c| is_part(*c)).collect::<String>())
        // The prefix itself, of this test and of `config`; and what is written for several: `GOPCAST_METRICS_*`.
        .filter(|name| !name.ends_with('_'))
        .collect()
}

/// The first table of a page.
pub(crate) fn first_table(page: &str) -> &str {
    let from = page.find("\n|").unwrap_or(0) + 1;
    page[from..].split("\n\n").next().unwrap_or_default()
}

/// What stands in backquotes in the first column of a page's tables.
pub(crate) fn first_column(page: &str) -> Vec<String> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.map(str::to_owned).collect()
}

/// The texts of a file's constants.
pub(crate) fn constants(path: &str) -> Vec<String> {
    let source = Source { path: root().join(path), text: read(path) };
    let code = source.code();
    let lines = code.lines().filter(|line| line.contains("const ") && line.contains(": &str = "));
    lines.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

/// The texts that a file's `match` arms give, tests left out.
pub(crate) fn arms(path: &str) -> Vec<String> {
    let source = Source { path: root().join(path), text: read(path) };
    let code = source.code();
    let texts = code.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
    texts
        .filter(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        .map(str::to_owned)
        .collect()
}

/// Asserts that a page is this, or makes it so when `UPDATE_DOCS` is set (`make docs`).
pub(crate) fn holds(name: &str, page: &str) {
    let path = root().join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
    }
    let is = fs::read_to_string(&path).unwrap_or_default();
    assert!(is == page, "docs/{name} is not what the sources say: run `make docs`");
}

/// The lines of pages' code blocks, and the spans, that call `gopcast`.
pub(crate) fn command_lines() -> Vec<(PathBuf, String)> {
    let mut lines = Vec::new();
    for page in pages() {
        let mut is_code = false;
        for line in page.text.lines() {
            if line.starts_with("```") {
                is_code = !is_code;
                continue;
            }
            let spans: Vec<&str> = match is_code {
                true => vec![line.trim_start()],
                false => line.split('`').skip(1).step_by(2).collect(),
            };
            for span in spans {
                let span = span.strip_prefix("target/release/").unwrap_or(span);
                let span = span.strip_prefix("$ ").unwrap_or(span);
                if span.starts_with("gopcast ") {
                    lines.push((page.path.clone(), span.to_owned()));
                }
            }
        }
    }
    lines
}
