//! Stacks in AWS: what `terraform output -json cli` says of one, remembered under a name; and `gopcast stack …`.
//!
//! ```text
//! $XDG_CONFIG_HOME/gopcast (else ~/.config/gopcast)
//!   stacks/NAME.json         what Terraform said; no secret
//!   keys/BUCKET/keys.json    stream keys of the lives created from here (private); the table has only their hashes
//! ```
//!
//! Keys lie by bucket, so that a stack has the same ones whether it is named or given as a file. Credentials are never kept: they are the
//! AWS SDK's to find.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use media::{id::LiveId, ladder::Profile};
use serde::{Deserialize, Serialize};
use service::{clock::Clock, index};

use crate::{
    args::{StackArgs, StackCommand},
    data_dir::{DataDir, read_optional},
    exit::Exit,
    output,
    progress::Progress,
    stack::{DynamoDb, Lambda, S3, Stack},
    up::pages,
};

/// Ladder of new lives where the stack says nothing.
const LADDER_DEFAULT: Profile = Profile::P720;
/// Most bytes of a description: it has some hundreds.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A stack in AWS, as `infra/outputs.tf` describes it in its output `cli`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Where bucket, table and function are.
    pub region: String,
    /// Where publishers connect: `rtmps://HOST/live`.
    pub rtmps: String,
    /// Where viewers connect: `https://HOST`.
    pub http: String,
    /// The bucket.
    pub s3: S3,
    /// The table.
    pub dynamodb: DynamoDb,
    /// The gateway function.
    pub lambda: Lambda,
    /// Ladder of new lives, unless they say otherwise.
    #[serde(default)]
    pub ladder: Option<Profile>,
    /// The viewers' keys.
    #[serde(default)]
    pub signing: Signing,
}

/// What signatures of viewers' URLs and cookies name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// Ids at CloudFront by name. None: viewers need no signature.
    #[serde(default)]
    pub key_ids: BTreeMap<String, String>,
}

impl Remote {
    /// Reads what Terraform printed: the output `cli`, or all outputs.
    ///
    /// # Errors
    /// When it is something else; the text says what is wanted.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let wanted = "this is not what `terraform -chdir=infra output -json cli` prints";
        let value: serde_json::Value = serde_json::from_str(text).context(wanted)?;
        // `terraform output -json` without a name wraps each output.
        let value = value.pointer("/cli/value").cloned().unwrap_or(value);
        let remote: Self = serde_json::from_value(value).context(wanted)?;
        if !remote.http.starts_with("https://") && !remote.http.starts_with("http://") {
            bail!("{wanted}: `http` is {}, not a URL", remote.http);
        }
        Ok(remote)
    }

    /// The stack as commands see it.
    #[must_use]
    pub fn stack(self) -> Stack {
        Stack {
            pid: None,
            rtmps: self.rtmps,
            rtmp: None,
            http: self.http.trim_end_matches('/').to_owned(),
            ca: None,
            s3: self.s3,
            dynamodb: self.dynamodb,
            lambda: self.lambda,
            ladder: self.ladder.unwrap_or(LADDER_DEFAULT),
            processes: Vec::new(),
            region: Some(self.region),
            operator: None,
        }
    }
}

/// The directory of what is remembered.
#[derive(Debug, Clone)]
struct Home(PathBuf);

impl Home {
    fn of_user() -> anyhow::Result<Self> {
        let given = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = given("XDG_CONFIG_HOME").or_else(|| given("HOME").map(|home| home.join(".config")));
        Ok(Self(
            config.context("neither XDG_CONFIG_HOME nor HOME says where settings are kept")?.join("gopcast"),
        ))
    }

    fn file(&self, name: &LiveId) -> PathBuf {
        self.0.join("stacks").join(format!("{name}.json"))
    }

    fn keys(&self, bucket: &str) -> anyhow::Result<DataDir> {
        // The name is a file's from the user; a bucket's has no separators.
        if bucket.is_empty() || bucket.contains(['/', '\0']) || bucket.starts_with('.') {
            bail!("{bucket} is not the name of a bucket");
        }
        DataDir::create(&self.0.join("keys").join(bucket))
    }

    fn names(&self) -> anyhow::Result<Vec<LiveId>> {
        let dir = self.0.join("stacks");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("reading {}", dir.display())),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            names.extend(name.to_str().and_then(|n| n.strip_suffix(".json")?.parse::<LiveId>().ok()));
        }
        names.sort();
        Ok(names)
    }

    fn load(&self, name: &LiveId) -> anyhow::Result<Remote> {
        let path = self.file(name);
        let text = read_optional(&path)?.with_context(|| {
            format!("no stack is known as {name}: `gopcast stack list` shows which are, `gopcast stack add` adds one")
        })?;
        Remote::parse(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// By name, or from a file: whatever has a separator or an extension is a file.
    fn resolve(&self, stack: &str) -> anyhow::Result<Remote> {
        if stack.contains(['/', '.']) {
            return Remote::parse(&read(Path::new(stack))?).with_context(|| format!("reading {stack}"));
        }
        let name = stack
            .parse()
            .map_err(|error| anyhow::anyhow!("{stack} is neither the name of a stack nor a file: {error}"))?;
        self.load(&name)
    }
}

/// What is known of a stack that `--stack` names.
///
/// # Errors
/// When nothing is, or it can't be read.
pub fn known(stack: &str) -> anyhow::Result<Remote> {
    Home::of_user()?.resolve(stack)
}

/// A stack that `--stack` names, with the directory of its stream keys.
///
/// # Errors
/// As [`known`].
pub fn find(stack: &str) -> anyhow::Result<(DataDir, Stack)> {
    let home = Home::of_user()?;
    let remote = home.resolve(stack)?;
    Ok((home.keys(&remote.s3.bucket)?, remote.stack()))
}

/// A file's text, or with `-` standard input's.
fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .context("reading standard input")?;
    } else {
        let file = fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .with_context(|| format!("reading {}", path.display()))?;
    }
    Ok(text)
}

/// Runs a command.
///
/// # Errors
/// When it can't do what is asked; the text says why.
pub async fn run(command: StackCommand) -> anyhow::Result<Exit> {
    match command {
        StackCommand::Add { name, file, json } => {
            let remote = Remote::parse(&read(&file)?)?;
            let home = Home::of_user()?;
            let dir = DataDir::create(&home.0.join("stacks"))?;
            dir.write_private(&format!("{name}.json"), &serde_json::to_vec_pretty(&remote)?)?;
            show(&name, &remote, json)
        }
        StackCommand::List { json } => list(&Home::of_user()?, json),
        StackCommand::Show { name, json } => show(&name, &Home::of_user()?.load(&name)?, json),
        StackCommand::Remove { name } => {
            let home = Home::of_user()?;
            home.load(&name)?;
            fs::remove_file(home.file(&name)).with_context(|| format!("removing {name}"))?;
            output::print(&format!("{name} is forgotten; the stack itself was not touched"));
            Ok(Exit::Done)
        }
        StackCommand::PublishPages { pages, stack } => publish_pages(pages, &stack).await,
    }
}

/// A stack as `list` and `show` tell it.
#[derive(Debug, Serialize)]
struct Told<'a> {
    name: &'a LiveId,
    #[serde(flatten)]
    remote: &'a Remote,
}

fn show(name: &LiveId, remote: &Remote, json: bool) -> anyhow::Result<Exit> {
    if json {
        output::json(&Told { name, remote })?;
        return Ok(Exit::Done);
    }
    let keys: Vec<_> = remote.signing.key_ids.iter().map(|(name, id)| format!("{name} ({id})")).collect();
    output::print(&output::list(&[
        ("stack", name.to_string()),
        ("region", remote.region.clone()),
        ("server", remote.rtmps.clone()),
        ("viewers", remote.http.clone()),
        ("bucket", remote.s3.bucket.clone()),
        ("table", remote.dynamodb.table.clone()),
        ("function", remote.lambda.function.clone()),
        ("ladder", remote.ladder.unwrap_or(LADDER_DEFAULT).to_string()),
        (
            "viewer keys",
            if keys.is_empty() { "none; viewers need no signature".to_owned() } else { keys.join(", ") },
        ),
    ]));
    Ok(Exit::Done)
}

fn list(home: &Home, json: bool) -> anyhow::Result<Exit> {
    let names = home.names()?;
    let known: Vec<_> =
        names.iter().map(|name| anyhow::Ok((name, home.load(name)?))).collect::<Result<_, _>>()?;
    if json {
        output::json(&known.iter().map(|(name, remote)| Told { name, remote }).collect::<Vec<_>>())?;
    } else if known.is_empty() {
        output::print(
            "no stacks; `terraform -chdir=infra output -json cli | gopcast stack add NAME -` adds one",
        );
    } else {
        let rows: Vec<_> = known
            .iter()
            .map(|(name, remote)| {
                vec![name.to_string(), remote.region.clone(), remote.rtmps.clone(), remote.http.clone()]
            })
            .collect();
        output::print(&output::table(&["STACK", "REGION", "SERVER", "VIEWERS"], &rows));
    }
    Ok(Exit::Done)
}

async fn publish_pages(dir: Option<PathBuf>, args: &StackArgs) -> anyhow::Result<Exit> {
    let (_, stack) = Stack::of(args)?;
    let beside =
        std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned)).unwrap_or_default();
    let dir = match dir {
        Some(dir) if dir.join("index.html").is_file() => dir,
        Some(dir) => {
            bail!("there is no index.html in {}: `make build` builds the pages in player/dist", dir.display())
        }
        None => pages::find(&beside)
            .context("the pages are not built (`make build`), or name their directory: --pages DIR")?,
    };
    let progress = Progress::new(args.json);
    progress.update(&format!("putting {} into {}", dir.display(), stack.s3.bucket));
    let clients = stack.clients().await;
    let files =
        pages::upload(&clients.bucket, &dir).await.context("putting the web pages into the bucket")?;
    // The front page reads it; without any live there is none yet.
    index::publish_lives(&clients.table, &clients.bucket, &Clock::default()).await?;
    progress.clear();
    if args.json {
        output::json(&serde_json::json!({ "files": files, "bucket": stack.s3.bucket, "http": stack.http }))?;
    } else {
        output::print(&format!("{files} files are in {}; watch at {}", stack.s3.bucket, stack.http));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLI: &str = r#"{"region":"eu-west-1","rtmps":"rtmps://ingest.example.com/live","http":"https://d1.cloudfront.net",
        "s3":{"bucket":"gopcast-1-eu-west-1"},"dynamodb":{"table":"gopcast"},"lambda":{"function":"arn:aws:lambda:eu-west-1:1:function:g"},
        "ladder":"1080p","signing":{"key_ids":{"one":"K1"}}}"#;

    #[test]
    fn one_output_or_all_of_them_are_read() {
        let remote = Remote::parse(CLI).unwrap();
        assert_eq!(remote.signing.key_ids["one"], "K1");
        let all = format!(
            r#"{{"ingest_url":{{"value":"x"}},"cli":{{"sensitive":false,"type":"x","value":{CLI}}}}}"#
        );
        assert_eq!(Remote::parse(&all).unwrap(), remote);
        let stack = remote.stack();
        assert_eq!((stack.region.as_deref(), stack.ladder), (Some("eu-west-1"), Profile::P1080));
        assert_eq!((stack.s3.endpoint, stack.pid, stack.ca), (None, None, None));
    }

    #[test]
    fn what_terraform_did_not_print_is_refused_with_what_is_wanted() {
        for text in ["", "{}", "[]", r#"{"region":"x"}"#, &CLI.replace("https://d1", "d1")] {
            let error = format!("{:#}", Remote::parse(text).unwrap_err());
            assert!(error.contains("output -json cli"), "{text}: {error}");
        }
    }

    #[test]
    fn names_files_and_keys() {
        let tmp = tempfile::tempdir().unwrap();
        let home = Home(tmp.path().join("gopcast"));
        assert_eq!(home.names().unwrap(), Vec::new());
        assert!(home.resolve("prod").unwrap_err().to_string().contains("gopcast stack add"));
        fs::create_dir_all(home.0.join("stacks")).unwrap();
        fs::write(home.0.join("stacks/prod.json"), CLI).unwrap();
        fs::write(home.0.join("stacks/notes.txt"), "").unwrap();
        assert_eq!(home.names().unwrap(), ["prod".parse::<LiveId>().unwrap()]);
        let file = tmp.path().join("cli.json");
        fs::write(&file, CLI).unwrap();
        assert_eq!(home.resolve(file.to_str().unwrap()).unwrap(), home.resolve("prod").unwrap());
        assert!(home.resolve("No Name").unwrap_err().to_string().contains("neither"));
        for bucket in ["", "..", "a/b"] {
            assert!(home.keys(bucket).is_err(), "{bucket}");
        }
        assert!(home.keys("gopcast-1-eu-west-1").unwrap().root().ends_with("keys/gopcast-1-eu-west-1"));
    }
}
