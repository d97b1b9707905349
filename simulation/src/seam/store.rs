//! The table, as one process reaches it.

use std::sync::Arc;

use service::{
    BoxFuture,
    table::{
        TableError,
        store::{Item, Key, Query, Store, Write},
    },
};

use super::{Trouble, Twice, deliver};
use crate::{model::table::Refusal, process::Process, weather::Service, world::World};

/// The table, as one process reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Remote(pub(crate) Arc<Process>);

fn failed(operation: &'static str, trouble: Trouble) -> TableError {
    let message = match trouble {
        Trouble::Silence => "no answer in time",
        Trouble::Refused => "throttled, or the transaction met another",
    };
    TableError::Call { operation, message: message.to_owned(), transient: true }
}

fn subject(operation: &str, key: &Key) -> String {
    format!("{operation} {} {}", key.pk, key.sk)
}

impl Remote {
    async fn send(self, operation: &'static str, writes: Vec<Write>) -> Result<(), TableError> {
        let Self(process) = self;
        // A transaction carries a token, by which a repeated one is known; a single write does not.
        let twice = if writes.len() > 1 { Twice::Known } else { Twice::Again };
        let writer = Arc::clone(&process);
        let subject = writes.first().map_or_else(String::new, |write| subject(operation, &write.key));
        let effect = move || write(&writer, operation, &writes);
        match deliver(process, Service::Table, &subject, twice, effect).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Refusal::Condition)) => Err(TableError::Conflict(operation)),
            Ok(Err(Refusal::Invalid)) => {
                let message = "the request is none".to_owned();
                Err(TableError::Call { operation, message, transient: false })
            }
            Err(trouble) => Err(failed(operation, trouble)),
        }
    }
}

/// The instant of a write.
fn write(process: &Process, operation: &'static str, writes: &[Write]) -> Result<(), Refusal> {
    let world = process.world();
    let subject = writes.first().map_or("", |write| write.key.pk.as_str());
    let done = change(world, process.name(), operation, writes);
    let outcome = if done.is_ok() { operation } else { "refused" };
    world.note(process.name(), outcome, subject, || {
        let writes: Vec<_> =
            writes.iter().map(|write| format!("{} {:?}", write.key.sk, write.action)).collect();
        let why =
            done.map_or_else(|refusal| format!("{operation}: {refusal:?}: {:?}", ()), |()| String::new());
        format!("{why}{}", writes.join("; "))
    });
    done
}

fn change(world: &World, who: &str, operation: &'static str, writes: &[Write]) -> Result<(), Refusal> {
    let now = world.now();
    let mut state = world.state();
    let crate::world::State { rows, objects, checks, .. } = &mut *state;
    let changed = rows.write(writes)?;
    let found = checks.wrote(who, operation, &changed, rows, objects, now);
    drop(state);
    world.judge(found);
    Ok(())
}

impl Store for Remote {
    fn get(&self, key: Key) -> BoxFuture<Result<Option<Item>, TableError>> {
        let Self(process) = self.clone();
        Box::pin(async move {
            let world = Arc::clone(process.world());
            let subject = subject("get", &key);
            let effect = move || world.state().rows.get(&key).cloned();
            deliver(process, Service::Table, &subject, Twice::Known, effect)
                .await
                .map_err(|trouble| failed("get", trouble))
        })
    }

    fn query(&self, query: Query) -> BoxFuture<Result<Vec<Item>, TableError>> {
        let Self(process) = self.clone();
        Box::pin(async move {
            let world = Arc::clone(process.world());
            let subject = format!("query {} {}", query.pk, query.prefix);
            let effect = move || world.state().rows.query(&query);
            deliver(process, Service::Table, &subject, Twice::Known, effect)
                .await
                .map_err(|trouble| failed("query", trouble))
        })
    }

    fn write(&self, operation: &'static str, writes: Vec<Write>) -> BoxFuture<Result<(), TableError>> {
        let this = self.clone();
        Box::pin(async move {
            let Some(mutation) = this.0.world().mutation() else {
                return this.send(operation, writes).await;
            };
            if mutation.believes_write(operation) {
                tokio::spawn(this.send(operation, writes));
                return Ok(());
            }
            for step in mutation.table(operation, writes) {
                this.clone().send(operation, step).await?;
            }
            Ok(())
        })
    }
}
