//! The start of a cluster: each process with its proxies, the live, and the wait until all of it serves.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Cluster, FUNCTION, LIVE, Proxies, Setup};
use crate::{
    chaos::{
        keeper::Start,
        programs::{Programs, own, program_with},
        proxy::{Before, Proxy},
        wire::Wire,
    },
    poll,
    stack::{free_address, gopcast},
};

/// Everything registered and answering: seconds on an idle machine; encoders measure themselves first.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Log lines of each process that are shown when the start fails.
const LAST_WORDS: usize = 20;
/// What the gateway and the encoders sign with.
const HOP_SECRET: &str = "chaos-chaos-chaos-chaos-chaos-chaos";
/// The seed of all faults, unless [`SEED_VAR`] gives another.
const SEED: u64 = 20_261_122;
/// Gives another seed.
const SEED_VAR: &str = "GOPCAST_CHAOS_SEED";

fn seed() -> u64 {
    std::env::var(SEED_VAR).ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED)
}

impl Cluster {
    fn proxy(&self, owner: &str, before: Before, upstream: SocketAddr) -> Result<Proxy> {
        Proxy::start(self.runtime.handle(), before, upstream, seed(), &format!("{owner} {before:?}"))
    }

    fn addresses(&self) -> Result<localstack::Addresses> {
        Ok(self.local.as_ref().context("the embedded AWS is down")?.addresses())
    }

    pub(super) fn start_gateway(&mut self, programs: &Programs) -> Result<()> {
        let dynamodb = self.proxy("gateway", Before::DynamoDb, self.addresses()?.dynamodb)?;
        let env = vec![
            ("GOPCAST_TABLE", self.name.clone()),
            ("GOPCAST_HOP_SECRET", HOP_SECRET.to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url()),
        ];
        let dynamodb = Some(dynamodb);
        self.proxies.push(Proxies { owner: "gateway".to_owned(), s3: None, dynamodb, lambda: None });
        let (program, env) = (programs.path("gateway-fn"), own(env));
        let _ = self.gateways.spec.set((program, env));
        Ok(())
    }

    pub(super) fn start_encoder(&mut self, programs: &Programs, number: u32) -> Result<()> {
        let name = format!("encoder-{number}");
        let s3 = self.proxy(&name, Before::S3, self.addresses()?.s3)?;
        let dynamodb = self.proxy(&name, Before::DynamoDb, self.addresses()?.dynamodb)?;
        let lambda = self.proxy(&name, Before::Lambda, self.addresses()?.lambda)?;
        let (program, runtime) = (programs.path("encoder-task"), self.runtime.handle().clone());
        let fixed = own(vec![
            ("GOPCAST_BUCKET", self.name.clone()),
            ("GOPCAST_TABLE", self.name.clone()),
            ("GOPCAST_GATEWAY_FUNCTION", FUNCTION.to_owned()),
            ("GOPCAST_HOP_SECRET", HOP_SECRET.to_owned()),
            ("AWS_ENDPOINT_URL_S3", s3.url()),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url()),
            ("AWS_ENDPOINT_URL_LAMBDA", lambda.url()),
        ]);
        self.proxies.push(Proxies {
            owner: name.clone(),
            s3: Some(s3),
            dynamodb: Some(dynamodb),
            lambda: Some(lambda),
        });
        let owner = name.clone();
        self.keeper.keep(&name, move |life| {
            // A new id, a new port and a new door for each life, as a new task has: the dead one's address must not answer.
            let (id, listen) = (format!("{owner}-life-{life}"), free_address()?);
            let door = Proxy::start(&runtime, Before::Encoder, listen.parse()?, seed(), &id)?;
            let mut command = program_with(&program, &fixed);
            command.env("GOPCAST_ENCODER_ID", &id).env("GOPCAST_HTTP_ADDR", &listen);
            command.env("GOPCAST_ADVERTISE_ADDR", door.address().to_string());
            Ok(Start { id, command, door: Some(door) })
        })
    }

    pub(super) fn start_edge(&mut self, programs: &Programs, number: u32) -> Result<()> {
        let name = format!("edge-{number}");
        let s3 = self.proxy(&name, Before::S3, self.addresses()?.s3)?;
        let lambda = self.proxy(&name, Before::Lambda, self.addresses()?.lambda)?;
        let listen = free_address()?;
        let file = |name: &str| self.data.join(name).display().to_string();
        let fixed = own(vec![
            ("GOPCAST_BUCKET", self.name.clone()),
            ("GOPCAST_GATEWAY_FUNCTION", FUNCTION.to_owned()),
            ("GOPCAST_RTMPS_ADDR", listen.clone()),
            ("GOPCAST_TLS_CERT", file("edge.pem")),
            ("GOPCAST_TLS_KEY", file("edge-key.pem")),
            ("AWS_ENDPOINT_URL_S3", s3.url()),
            ("AWS_ENDPOINT_URL_LAMBDA", lambda.url()),
        ]);
        self.wires.push(Wire::start(self.runtime.handle(), listen.parse()?)?);
        let lambda = Some(lambda);
        self.proxies.push(Proxies { owner: name.clone(), s3: Some(s3), dynamodb: None, lambda });
        let (program, owner) = (programs.path("ingest-edge"), name.clone());
        self.keeper.keep(&name, move |life| {
            let command = program_with(&program, &fixed);
            Ok(Start { id: format!("{owner}-life-{life}"), command, door: None })
        })
    }

    /// Writes what `gopcast` commands find a running stack by.
    pub(super) fn describe(&self, ladder: &str) -> Result<()> {
        let at = self.addresses()?;
        let stack = json!({
            "pid": std::process::id(), "rtmps": "rtmps://127.0.0.1/live", "rtmp": null, "http": self.cdn, "ca": "",
            "s3": { "endpoint": format!("http://{}", at.s3), "bucket": self.name },
            "dynamodb": { "endpoint": format!("http://{}", at.dynamodb), "table": self.name },
            "lambda": { "endpoint": format!("http://{}", at.lambda), "function": FUNCTION },
            "ladder": ladder, "processes": [],
        });
        std::fs::write(self.data.join("stack.json"), stack.to_string()).context("writing stack.json")
    }

    pub(super) fn create_live(&self, setup: Setup) -> Result<String> {
        let window = setup.window.to_string();
        let args = ["live", "create", LIVE, "--ladder", setup.ladder, "--window", &window, "--json"];
        let out = gopcast(&self.data, args)?;
        let said = String::from_utf8_lossy(&out.stderr);
        anyhow::ensure!(out.status.success(), "creating the live: {said}");
        let told: Value = serde_json::from_slice(&out.stdout).context("what `live create` prints")?;
        Ok(told["key"].as_str().context("no stream key")?.to_owned())
    }

    pub(super) fn wait_ready(&self, setup: Setup) -> Result<()> {
        poll::until("every encoder's heartbeat and every edge", READY_WITHIN, || {
            let failures = self.keeper.failures();
            anyhow::ensure!(failures.is_empty(), "starting: {failures:?}");
            let again = self
                .keeper
                .logs()
                .into_iter()
                .find(|log| log.name != "gateway" && log.id.ends_with("-life-2"));
            if let Some(log) = again {
                anyhow::bail!("{} ended while starting:\n{}", log.name, self.last_words(LAST_WORDS));
            }
            let registered = self.encoders()?.len() >= usize::try_from(setup.encoders)?;
            let edges = self.events("listening").iter().filter(|e| !e.text("rtmps").is_empty()).count();
            Ok((registered && edges >= usize::try_from(setup.edges)?).then_some(()))
        })?;
        // Has one process of the function running, and proves that it answers.
        self.invoke(&json!({ "event": "end", "live": "nobody" })).map(|_| ())
    }
}
