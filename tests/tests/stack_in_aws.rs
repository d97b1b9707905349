//! `gopcast --stack` as an operator of a stack in AWS uses it: Terraform's output is remembered under a name, and the commands work with
//! the SDK's own credentials and endpoints. Here those lead to the embedded AWS of a running stack; the code path is the one for AWS.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::{
    poll,
    stack::{Options, Ready, binary},
};

/// Pages are kept by the CDN for a second; the rest is the machine's.
const FRESH_WITHIN: Duration = Duration::from_secs(10);

/// `gopcast` with nothing of this machine's settings but what is given.
struct Operator<'a> {
    home: &'a Path,
    ready: &'a Ready,
}

impl Operator<'_> {
    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary("gopcast")?);
        command.args(args).env_clear().env("XDG_CONFIG_HOME", self.home).env("PATH", "/usr/bin:/bin");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.env("AWS_EC2_METADATA_DISABLED", "true").current_dir(self.home);
        for (name, endpoint) in [
            ("AWS_ENDPOINT_URL_S3", &self.ready.s3.endpoint),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.ready.dynamodb.endpoint),
            ("AWS_ENDPOINT_URL_LAMBDA", &self.ready.lambda.endpoint),
        ] {
            command.env(name, endpoint);
        }
        Ok(command)
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        self.command(args)?.stdin(Stdio::null()).output().context("starting gopcast")
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let out = self.run(args)?;
        let said = String::from_utf8_lossy(&out.stderr);
        anyhow::ensure!(out.status.success(), "{args:?}: {said}");
        serde_json::from_slice(&out.stdout).with_context(|| format!("{args:?}"))
    }

    /// Its exit code, and what it says on standard error.
    fn refused(&self, args: &[&str]) -> Result<(Option<i32>, String)> {
        let out = self.run(args)?;
        Ok((out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned()))
    }
}

#[test]
fn an_operator_of_a_stack_in_aws() -> Result<()> {
    let stack = Options::lives(["local"]).start()?;
    let home = tempfile::Builder::new().prefix("gopcast-operator-").tempdir()?;
    let operator = Operator { home: home.path(), ready: &stack.ready };
    let terraform = json!({
        "region": "us-east-1", "rtmps": stack.ready.rtmps, "http": stack.ready.http,
        "s3": { "bucket": stack.ready.s3.bucket }, "dynamodb": { "table": stack.ready.dynamodb.table },
        "lambda": { "function": stack.ready.lambda.function }, "ladder": "480p", "signing": { "key_ids": { "one": "K1" } },
    });

    let mut add = operator.command(&["stack", "add", "prod", "-", "--json"])?;
    let mut add = add.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    add.stdin.take().context("no input")?.write_all(terraform.to_string().as_bytes())?;
    assert!(add.wait()?.success());
    let file = home.path().join("cli.json");
    fs::write(&file, terraform.to_string())?;
    let file = file.to_str().context("not UTF-8")?;

    let made =
        operator.json(&["--stack", "prod", "live", "create", "shoes", "--title", "Shoes", "--json"])?;
    assert_eq!((&made["ladder"], &made["rtmps"]), (&json!("480p"), &json!(stack.ready.rtmps)));
    let key = made["key"].as_str().context("no key")?.to_owned();
    // By file it is the same stack, with the same keys; and `gopcast up` sees the live too.
    let shown = operator.json(&["--stack", file, "live", "show", "shoes", "--json"])?;
    assert_eq!(shown["key"], json!(key));
    let local: Value = stack.gopcast_json(&["live", "show", "shoes"])?;
    assert_eq!((&local["title"], local.get("key")), (&json!("Shoes"), None));

    operator.json(&["live", "set", "shoes", "--window", "300", "--json", "--stack", "prod"])?;
    let rotated = operator.json(&["--stack", "prod", "live", "rotate-key", "shoes", "--json"])?;
    assert!(rotated["key"] != json!(key) && rotated["window_seconds"] == json!(300));
    assert_eq!(
        operator.json(&["--stack", "prod", "live", "list", "--json"])?.as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(operator.json(&["--stack", "prod", "broadcast", "list", "shoes", "--json"])?, json!([]));
    // What the table knows; nobody reaches the processes from here.
    let seen = operator.json(&["--stack", "prod", "top", "--once", "--json"])?;
    assert_eq!((seen["lives"].as_array().map(Vec::len), &seen["edges"]), (Some(2), &json!([])));
    assert!(
        seen["encoders"].as_array().is_some_and(|encoders| encoders.iter().all(|e| e["state"] == "ready"))
    );
    // Asks the gateway function.
    assert!(operator.refused(&["--stack", "prod", "live", "end", "shoes"])?.1.contains("not on air"));

    let pages = home.path().join("pages");
    fs::create_dir(&pages)?;
    fs::write(pages.join("index.html"), "<title>ours</title>")?;
    let pages = pages.to_str().context("not UTF-8")?;
    let published =
        operator.json(&["--stack", "prod", "stack", "publish-pages", "--pages", pages, "--json"])?;
    assert_eq!(published["files"], json!(1));
    let front = format!("{}/player/index.html", stack.ready.http);
    poll::until("the new front page", FRESH_WITHIN, || {
        let page = stack.http.get(&front)?;
        Ok(String::from_utf8_lossy(&page.body).contains("ours").then_some(()))
    })?;

    operator.json(&["--stack", "prod", "live", "delete", "shoes", "--yes", "--json"])?;
    assert_eq!(
        operator.json(&["--stack", "prod", "live", "list", "--json"])?.as_array().map(Vec::len),
        Some(1)
    );

    for (args, code, says) in [
        (&["--stack", "prod", "live", "list", "--data", "x"][..], 2, "give one of them"),
        (&["--stack", "prod", "up"], 2, "in AWS"),
        (&["--stack", "other", "live", "list"], 1, "gopcast stack add"),
        (&["live", "list"], 3, "no stack is running"),
    ] {
        let (got, said) = operator.refused(args)?;
        assert!(got == Some(code) && said.contains(says), "{args:?}: {got:?} {said}");
    }
    assert!(operator.run(&["stack", "remove", "prod"])?.status.success());
    assert_eq!(operator.json(&["stack", "list", "--json"])?, json!([]));
    stack.stop()
}
