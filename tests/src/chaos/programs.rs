//! The services' programs and what each is started with: the variables of production, none of whoever runs the test.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{process::run, stack::binary};

/// Access key and secret of the embedded AWS.
pub(super) const KEY: &str = "test";

/// Variables of a process.
pub(super) type Env = Vec<(&'static str, String)>;

/// The programs, linked or copied into the scenario's own folder: a build in the meantime changes nothing.
pub(super) struct Programs(PathBuf);

impl Programs {
    pub(super) fn copy(data: &Path) -> Result<Self> {
        let folder = data.join("bin");
        std::fs::create_dir(&folder)?;
        for name in ["gateway-fn", "encoder-task", "ingest-edge"] {
            let (from, to) = (binary(name)?, folder.join(name));
            if std::fs::hard_link(&from, &to).is_err() {
                std::fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
            }
        }
        Ok(Self(folder))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Variables of one process and those that all have.
pub(super) fn own(mut env: Env) -> Env {
    env.extend([
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", KEY.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]);
    env
}

pub(super) fn program_with(program: &Path, env: &[(&'static str, String)]) -> Command {
    // Whatever becomes of the test, its processes end with it. `setpriv` becomes the program, so that signals and the id are its own.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if (text.starts_with("AWS_") || text.starts_with("GOPCAST_")) && text != "GOPCAST_LOG" {
            command.env_remove(&name);
        }
    }
    command.envs(env.iter().map(|(name, value)| (name, value)));
    command
}

pub(super) fn certificate(data: &Path) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    command.args([
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
    ]);
    command.arg(data.join("edge-key.pem")).arg("-out").arg(data.join("edge.pem"));
    run("openssl", &mut command).map(|_| ())
}
