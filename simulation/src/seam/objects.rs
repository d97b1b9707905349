//! The bucket, as one process reaches it.

use std::sync::Arc;

use service::{
    BoxFuture,
    bucket::{BucketError, Object, Objects, Put, Write},
};

use super::{Trouble, Twice, deliver};
use crate::{process::Process, weather::Service, world::State};

/// The bucket, as one process reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Remote(pub(crate) Arc<Process>);

fn failed(operation: &'static str, key: &str, trouble: Trouble) -> BucketError {
    let message = match trouble {
        Trouble::Silence => "no answer in time",
        Trouble::Refused => "503 slow down",
    };
    BucketError { operation, key: key.to_owned(), message: message.to_owned(), transient: true }
}

/// The instant of a write.
fn put(process: &Process, write: &Write) -> Put {
    let world = process.world();
    let now = world.now();
    let mut state = world.state();
    let State { rows, objects, checks, .. } = &mut *state;
    let (put, before) = objects.put(write);
    let found = match &put {
        Put::Stored(_) => checks.stored(now, write, before.as_ref(), rows, objects),
        Put::Conflict => Vec::new(),
    };
    drop(state);
    let outcome = if put == Put::Conflict { "put refused" } else { "put" };
    world.note(process.name(), outcome, &write.key, || {
        format!("{} B {:?} {:?}", write.bytes.len(), write.condition, write.meta)
    });
    world.judge(found);
    put
}

impl Remote {
    async fn send(self, write: Write) -> Result<Put, BucketError> {
        let Self(process) = self;
        let (key, writer) = (write.key.clone(), Arc::clone(&process));
        let effect = move || put(&writer, &write);
        deliver(process, Service::Bucket, &format!("put {key}"), Twice::Again, effect)
            .await
            .map_err(|trouble| failed("put", &key, trouble))
    }
}

impl Objects for Remote {
    fn put(&self, mut write: Write) -> BoxFuture<Result<Put, BucketError>> {
        let this = self.clone();
        Box::pin(async move {
            if let Some(mutation) = this.0.world().mutation() {
                mutation.object(&mut write);
                if mutation.believes_object(&write.key) {
                    tokio::spawn(this.send(write));
                    return Ok(Put::Stored(String::new()));
                }
            }
            this.send(write).await
        })
    }

    fn get(&self, key: String) -> BoxFuture<Result<Option<Object>, BucketError>> {
        let Self(process) = self.clone();
        Box::pin(async move {
            let (world, wanted) = (Arc::clone(process.world()), key.clone());
            let effect = move || world.state().objects.get(&wanted).map(crate::model::bucket::Stored::read);
            let reply = deliver(process, Service::Bucket, &format!("get {key}"), Twice::Known, effect).await;
            reply.map_err(|trouble| failed("get", &key, trouble))
        })
    }

    fn head(&self, key: String) -> BoxFuture<Result<Option<u64>, BucketError>> {
        let Self(process) = self.clone();
        Box::pin(async move {
            let (world, wanted) = (Arc::clone(process.world()), key.clone());
            let effect = move || {
                let state = world.state();
                state.objects.get(&wanted).map(|stored| u64::try_from(stored.bytes.len()).unwrap_or(u64::MAX))
            };
            let reply = deliver(process, Service::Bucket, &format!("head {key}"), Twice::Known, effect).await;
            reply.map_err(|trouble| failed("head", &key, trouble))
        })
    }

    fn list(
        &self,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<Result<Vec<String>, BucketError>> {
        let Self(process) = self.clone();
        Box::pin(async move {
            let (world, wanted) = (Arc::clone(process.world()), prefix.clone());
            let effect = move || {
                if world.mutation() == Some(crate::mutation::Mutation::NoListing) {
                    return Vec::new();
                }
                world.state().objects.list(&wanted, after.as_deref(), limit)
            };
            let reply =
                deliver(process, Service::Bucket, &format!("list {prefix}"), Twice::Known, effect).await;
            reply.map_err(|trouble| failed("list", &prefix, trouble))
        })
    }

    fn delete(&self, key: String) -> BoxFuture<Result<(), BucketError>> {
        let Self(process) = self.clone();
        Box::pin(async move {
            let (world, wanted) = (Arc::clone(process.world()), key.clone());
            let effect = move || drop(world.state().objects.delete(&wanted));
            let reply =
                deliver(process, Service::Bucket, &format!("delete {key}"), Twice::Again, effect).await;
            reply.map_err(|trouble| failed("delete", &key, trouble))
        })
    }
}
