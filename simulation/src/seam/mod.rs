//! The production code's seams, carried out by the models over a network with faults: [`store`] and [`objects`] for what is stored,
//! [`call`] for what is asked of other processes.
//!
//! A call is under way once it is made: dropping it changes nothing. What it does happens at one instant of simulated time.

pub(crate) mod call;
pub(crate) mod objects;
pub(crate) mod store;

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use crate::{
    process::Process,
    weather::{Mishap, Service},
    world::service_name,
};

/// What a call that failed came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No answer in time.
    Silence,
    /// Refused for now.
    Refused,
}

/// Whether the effect may be had once more when the network delivers a call twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twice {
    /// It has its effect again.
    Again,
    /// The service knows the request by its token, and answers as it did.
    Known,
}

async fn sleep(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Carries one call of `process` to a service out: `effect` is what it does there, at one instant. `subject` tells calls apart.
pub(crate) async fn deliver<T: Send + 'static>(
    process: Arc<Process>,
    service: Service,
    subject: &str,
    twice: Twice,
    effect: impl Fn() -> T + Send + Sync + 'static,
) -> Result<T, Trouble> {
    let effect = Arc::new(effect);
    let effect = move || {
        let effect = Arc::clone(&effect);
        async move { effect() }
    };
    request(process, service, subject, twice, effect).await
}

/// Carries one call of `process` to a service out: `effect` is what it does there, which may take time and begins when it is awaited.
pub(crate) async fn request<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    process: Arc<Process>,
    service: Service,
    subject: &str,
    twice: Twice,
    mut effect: impl FnMut() -> F + Send + 'static,
) -> Result<T, Trouble> {
    process.ready().await;
    let world = Arc::clone(process.world());
    let fate = world.fate(process.name(), service, subject, process.is_cut(service));
    if let Some(mishap) = fate.mishap {
        world.note(process.name(), "mishap", service_name(service), || format!("{mishap:?}"));
    }
    let (answer, answered) = oneshot::channel();
    let sender = Arc::clone(&process);
    tokio::spawn(async move {
        // What was on its way when its sender died may arrive or not.
        let arrives = |process: &Process| fate.survives || !process.is_dead();
        sleep(fate.there).await;
        let reply = match fate.mishap {
            None => {
                if !arrives(&sender) {
                    return;
                }
                let reply = effect().await;
                sleep(fate.back).await;
                Ok(reply)
            }
            Some(Mishap::LostRequest(patience)) => {
                sleep(patience).await;
                Err(Trouble::Silence)
            }
            Some(Mishap::Refused) => Err(Trouble::Refused),
            Some(Mishap::LostReply(patience)) => {
                if arrives(&sender) {
                    tokio::spawn(effect());
                }
                sleep(patience).await;
                Err(Trouble::Silence)
            }
            Some(Mishap::Repeated(patience)) => {
                let first = match arrives(&sender) {
                    true => Some(effect().await),
                    false => None,
                };
                sleep(patience).await;
                match (first, twice) {
                    (Some(first), Twice::Known) => Ok(first),
                    _ if arrives(&sender) => Ok(effect().await),
                    _ => return,
                }
            }
            Some(Mishap::Duplicate(after)) => {
                if !arrives(&sender) {
                    return;
                }
                let again = (twice == Twice::Again).then(&mut effect);
                let reply = effect().await;
                if let Some(again) = again {
                    tokio::spawn(async move {
                        sleep(after).await;
                        again.await;
                    });
                }
                sleep(fate.back).await;
                Ok(reply)
            }
            Some(Mishap::Late(patience, after)) => {
                tokio::spawn(async move {
                    sleep(patience + after).await;
                    effect().await;
                });
                sleep(patience).await;
                Err(Trouble::Silence)
            }
        };
        // Whoever asked may have given up.
        let _ = answer.send(reply);
    });
    let reply = match answered.await {
        Ok(reply) => reply,
        // The sender died with its call on the way.
        Err(_) => std::future::pending().await,
    };
    process.ready().await;
    reply
}
