//! `gopcast live …`: the lives of a running stack.

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::{Context as _, bail};
use media::{
    id::{BroadcastId, LiveId, StreamKey},
    ladder::Profile,
    limits::Limits,
    names,
    wire::AddCue,
};
use serde::Serialize;
use service::{
    clock,
    table::{Broadcast, Live, State},
};

use crate::{
    args::{LimitArgs, LiveCommand, StackArgs},
    data_dir::DataDir,
    exit::Exit,
    output,
    progress::Progress,
    slate::Slate,
    stack::{Clients, Stack},
    up::lives::{self, Ending},
    warnings,
};

/// How long the end of a broadcast is waited for: a backlog of a minute at the encoder's pace, and the last GOP.
const END_MAX: Duration = Duration::from_secs(90);

/// A live as `list`, `show` and `create` tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Told {
    live: LiveId,
    title: String,
    ladder: Profile,
    /// The source itself is the top rung.
    source_rung: bool,
    window_seconds: u32,
    limits: Limits,
    /// Key of the image that is shown while the publisher is away.
    slate: Option<String>,
    /// It takes no publisher.
    disabled: bool,
    on_air: bool,
    broadcast: Option<BroadcastId>,
    started: Option<String>,
    created: String,
    watch: String,
    mpd: String,
    poster: String,
    /// Where to publish to, without the key.
    rtmps: String,
    /// Only where it is asked for; absent when it is not known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// What the broadcaster of the show on air was told, the latest first. Only where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<warnings::Told>>,
}

impl Told {
    fn new(stack: &Stack, live: Live, current: Option<&Broadcast>, key: Option<&StreamKey>) -> Self {
        let on_air = current.filter(|broadcast| broadcast.state != State::Ended);
        Self {
            watch: stack.watch_url(&live.live),
            mpd: stack.mpd_url(&live.live),
            poster: format!("{}/{}", stack.http, names::live_poster(&live.live)),
            rtmps: stack.rtmps.clone(),
            live: live.live,
            title: live.title,
            ladder: live.profile,
            source_rung: live.source_rung,
            window_seconds: live.window_seconds,
            limits: live.limits,
            slate: live.slate,
            disabled: live.disabled,
            on_air: on_air.is_some(),
            broadcast: on_air.map(|broadcast| broadcast.broadcast.clone()),
            started: on_air.map(|b| b.availability_start.unwrap_or(b.opened).rfc3339()),
            created: live.created.rfc3339(),
            key: key.map(|key| key.reveal().to_owned()),
            warnings: None,
        }
    }

    fn human(&self) -> String {
        let mut rows = vec![
            ("live", self.live.to_string()),
            ("title", self.title.clone()),
            ("state", self.state()),
            ("ladder", ladder(self.ladder, self.source_rung)),
            ("window", format!("{} s for a publisher to return", self.window_seconds)),
            ("limits", limits(&self.limits)),
            ("slate", self.slate.clone().unwrap_or_else(|| "none; the last picture is held".to_owned())),
            ("created", self.created.clone()),
            ("watch", self.watch.clone()),
            ("manifest", self.mpd.clone()),
            ("poster", self.poster.clone()),
            ("server", self.rtmps.clone()),
        ];
        let unknown = || "not known here; `gopcast live rotate-key` makes a new one".to_owned();
        rows.push(("stream key", self.key.clone().unwrap_or_else(unknown)));
        rows.extend(self.broadcast.as_ref().map(|broadcast| ("broadcast", broadcast.to_string())));
        output::list(&rows) + &self.warnings.as_deref().map(warnings::human).unwrap_or_default()
    }

    fn state(&self) -> String {
        let on_air = self.started.as_ref().map(|started| format!("on air since {started}"));
        match (on_air, self.disabled) {
            (Some(on_air), false) => on_air,
            (Some(on_air), true) => format!("disabled, {on_air}"),
            (None, false) => "off air".to_owned(),
            (None, true) => "disabled".to_owned(),
        }
    }
}

/// What the commands work with.
struct Context {
    args: StackArgs,
    dir: DataDir,
    stack: Stack,
    clients: Clients,
}

impl Context {
    async fn find(args: StackArgs) -> anyhow::Result<Self> {
        let (dir, stack) = Stack::of(&args)?;
        let clients = stack.clients().await;
        Ok(Self { args, dir, stack, clients })
    }

    async fn live(&self, name: &LiveId) -> anyhow::Result<Live> {
        let live = self.clients.table.live(name).await?;
        live.with_context(|| format!("there is no live {name}; `gopcast live list` shows which there are"))
    }

    async fn store(&self, live: &LiveId, slate: Option<Slate>) -> anyhow::Result<Option<String>> {
        match slate {
            Some(slate) => Ok(Some(slate.store(&self.clients.bucket, live).await?)),
            None => Ok(None),
        }
    }

    async fn told(&self, live: Live, with_key: bool) -> anyhow::Result<Told> {
        let current = match &live.current {
            Some(id) => self.clients.table.broadcast(id).await?,
            None => None,
        };
        let key = if with_key { self.dir.key(&live.live)? } else { None };
        // A key that was rotated elsewhere is not the key any more.
        let key = key.filter(|key| key.hash() == live.key_hash);
        Ok(Told::new(&self.stack, live, current.as_ref(), key.as_ref()))
    }

    async fn show(&self, name: &LiveId) -> anyhow::Result<Exit> {
        let mut told = self.told(self.live(name).await?, true).await?;
        told.warnings = Some(match &told.broadcast {
            Some(broadcast) => warnings::of(&self.clients.table, broadcast).await?,
            None => Vec::new(),
        });
        if self.args.json {
            output::json(&told)?;
        } else {
            output::print(&told.human());
        }
        Ok(Exit::Done)
    }
}

/// Runs a command.
///
/// # Errors
/// When no stack is running, or it can't do what is asked; the text says why.
pub async fn run(command: LiveCommand) -> anyhow::Result<Exit> {
    match command {
        LiveCommand::Create { name, title, ladder, source_rung, window, slate, limits, stack } => {
            let slate = slate.as_deref().map(Slate::read).transpose()?;
            let context = Context::find(stack).await?;
            let new = lives::New {
                title: title.unwrap_or_else(|| name.to_string()),
                profile: ladder.unwrap_or(context.stack.ladder),
                source_rung,
                window_seconds: window,
                limits: changed(Limits::default(), &limits),
                slate: context.store(&name, slate).await?,
                live: name.clone(),
            };
            let made = lives::create(&context.clients, &context.dir, new).await;
            if made.as_ref().is_err_and(lives::is_conflict) {
                bail!("there already is a live {name}");
            }
            made?;
            context.show(&name).await
        }
        LiveCommand::List { stack } => list(&Context::find(stack).await?).await,
        LiveCommand::Show { name, stack } => Context::find(stack).await?.show(&name).await,
        LiveCommand::Set {
            name,
            title,
            source_rung,
            no_source_rung,
            window,
            slate,
            no_slate,
            limits,
            no_limits,
            stack,
        } => {
            let slate = slate.as_deref().map(Slate::read).transpose()?;
            let context = Context::find(stack).await?;
            let mut live = context.live(&name).await?;
            live.title = title.unwrap_or(live.title);
            live.source_rung = source_rung || (live.source_rung && !no_source_rung);
            live.window_seconds = window.unwrap_or(live.window_seconds);
            live.limits = changed(if no_limits { Limits::default() } else { live.limits }, &limits);
            live.slate = context.store(&name, slate).await?.or(live.slate.filter(|_| !no_slate));
            context.clients.table.set_live(&live).await?;
            lives::publish_indexes(&context.clients, &name).await?;
            context.show(&name).await
        }
        LiveCommand::RotateKey { name, stack } => {
            let context = Context::find(stack).await?;
            let live = context.live(&name).await?;
            let key = StreamKey::generate(clock::random_bytes());
            context.clients.table.rotate_key(&live, &key.hash(), clock::now()).await?;
            context.dir.set_key(&name, Some(&key))?;
            lives::publish_indexes(&context.clients, &name).await?;
            context.show(&name).await
        }
        LiveCommand::Disable { name, stack } => set_disabled(&Context::find(stack).await?, &name, true).await,
        LiveCommand::Enable { name, stack } => set_disabled(&Context::find(stack).await?, &name, false).await,
        LiveCommand::Event { name, data, at, duration, id, dir, of } => {
            let context = Context::find(StackArgs { data: dir, json: true, stack: of }).await?;
            let id = id.unwrap_or_else(|| hex::encode(clock::random_bytes::<8>()));
            let cue = AddCue { live: name, id, at, duration_ms: duration, data };
            output::json(&lives::add_cue(&context.clients, cue).await?)?;
            Ok(Exit::Done)
        }
        LiveCommand::End { name, stack } => end(&Context::find(stack).await?, &name).await,
        LiveCommand::Delete { name, yes, stack } => delete(&Context::find(stack).await?, &name, yes).await,
    }
}

/// Limits with what is asked for in the place of what there was.
fn changed(limits: Limits, args: &LimitArgs) -> Limits {
    Limits {
        bit_rate: args.max_bit_rate.or(limits.bit_rate),
        size: args.max_resolution.or(limits.size),
        frame_rate: args.max_fps.or(limits.frame_rate),
        hours: args.max_hours.or(limits.hours),
    }
}

/// The ladder for people.
fn ladder(profile: Profile, source_rung: bool) -> String {
    if source_rung { format!("{profile}, the source on top") } else { profile.to_string() }
}

/// Limits for people.
fn limits(limits: &Limits) -> String {
    let each = [
        limits.bit_rate.map(|rate| format!("{rate} kbit/s")),
        limits.size.map(|size| size.to_string()),
        limits.frame_rate.map(|rate| format!("{rate} frames a second")),
        limits.hours.map(|hours| format!("{hours} h")),
    ];
    if limits.is_empty() {
        "none".to_owned()
    } else {
        each.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

async fn list(context: &Context) -> anyhow::Result<Exit> {
    let mut told = Vec::new();
    for live in context.clients.table.lives().await? {
        told.push(context.told(live, false).await?);
    }
    if context.args.json {
        output::json(&told)?;
    } else if told.is_empty() {
        output::print("no lives; `gopcast live create NAME` makes one");
    } else {
        let row = |t: &Told| {
            vec![t.live.to_string(), t.title.clone(), t.ladder.to_string(), t.state(), t.watch.clone()]
        };
        let rows: Vec<_> = told.iter().map(row).collect();
        output::print(&output::table(&["LIVE", "TITLE", "LADDER", "STATE", "WATCH"], &rows));
    }
    Ok(Exit::Done)
}

async fn set_disabled(context: &Context, name: &LiveId, disabled: bool) -> anyhow::Result<Exit> {
    let live = context.live(name).await?;
    context.clients.table.set_disabled(&live.live, disabled, clock::now()).await?;
    if disabled {
        // Its publisher is cut by then, or soon; nobody can come back, so there is nothing to wait for.
        lives::ask_to_end(&context.clients, name).await?;
    }
    context.show(name).await
}

/// The answer to `live end`.
#[derive(Debug, Serialize)]
struct EndTold<'a> {
    live: &'a LiveId,
    broadcast: &'a BroadcastId,
    state: &'static str,
    mpd: String,
}

async fn end(context: &Context, name: &LiveId) -> anyhow::Result<Exit> {
    let progress = Progress::new(context.args.json);
    progress.update(&format!("ending {name}"));
    let broadcast = match lives::ask_to_end(&context.clients, name).await? {
        Ending::Broadcast(broadcast) => broadcast,
        Ending::NotOnAir => bail!("{name} is not on air"),
        Ending::NoSuchLive => bail!("there is no live {name}; `gopcast live list` shows which there are"),
    };
    progress.update(&format!("ending {name}: finishing the replay of {broadcast}"));
    let ended = tokio::time::timeout(END_MAX, lives::wait_ended(&context.clients, &broadcast)).await;
    progress.clear();
    ended.with_context(|| format!("{broadcast} is still ending after {} s", END_MAX.as_secs()))??;
    let mpd = format!("{}/{}", context.stack.http, names::vod_manifest(name, &broadcast));
    if context.args.json {
        output::json(&EndTold { live: name, broadcast: &broadcast, state: "ended", mpd })?;
    } else {
        output::print(&output::list(&[
            ("ended", broadcast.to_string()),
            ("replay", format!("{}/{broadcast}", context.stack.watch_url(name))),
            ("manifest", mpd),
        ]));
    }
    Ok(Exit::Done)
}

async fn delete(context: &Context, name: &LiveId, yes: bool) -> anyhow::Result<Exit> {
    let live = context.live(name).await?;
    if context.told(live.clone(), false).await?.on_air {
        bail!("{name} is on air; `gopcast live end {name}` ends it");
    }
    if !yes && !confirmed(&format!("Delete the live {name} and its stream key?"))? {
        bail!("{name} was not deleted");
    }
    context.clients.table.delete_live(&live).await?;
    context.dir.set_key(name, None)?;
    // The stable addresses play and show the last replay; that ends with the live.
    for stable in [names::live_manifest(name), names::live_master(name), names::live_poster(name)] {
        context.clients.bucket.delete(&stable).await?;
    }
    lives::publish_indexes(&context.clients, name).await?;
    if context.args.json {
        output::json(&serde_json::json!({ "live": name, "deleted": true }))?;
    } else {
        output::print(&format!("deleted {name}"));
    }
    Ok(Exit::Done)
}

fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to ask: give --yes");
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush())?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use media::{id::PublishNo, time::WallTime};

    use super::*;
    use crate::stack::tests::stack;

    fn live() -> Live {
        Live {
            live: "shoes".parse().unwrap(),
            title: "Shoes".to_owned(),
            key_hash: StreamKey::generate([1; 15]).hash(),
            profile: Profile::P480,
            source_rung: false,
            window_seconds: 60,
            limits: Limits::default(),
            slate: None,
            disabled: false,
            current: None,
            created: WallTime(0),
        }
    }

    #[test]
    fn json_of_a_live() {
        let told = Told::new(&stack(), live(), None, None);
        assert_eq!(
            serde_json::to_string(&told).unwrap(),
            concat!(
                r#"{"live":"shoes","title":"Shoes","ladder":"480p","source_rung":false,"window_seconds":60,"limits":{},"slate":null,"disabled":false,"on_air":false,"broadcast":null,"started":null,"#,
                r#""created":"1970-01-01T00:00:00.000Z","watch":"http://127.0.0.1:8080/watch/shoes","#,
                r#""mpd":"http://127.0.0.1:8080/live/shoes/manifest.mpd","poster":"http://127.0.0.1:8080/live/shoes/poster.jpg","rtmps":"rtmps://127.0.0.1:1943/live"}"#
            )
        );
        let key = StreamKey::generate([1; 15]);
        let told = Told::new(&stack(), live(), None, Some(&key));
        assert!(told.human().contains(key.reveal()));
        let args = LimitArgs { max_fps: Some(30), ..LimitArgs::default() };
        let limited = changed(Limits { hours: Some(4), ..Limits::default() }, &args);
        assert_eq!(limits(&limited), "30 frames a second, 4 h");
        assert_eq!(limits(&Limits::default()), "none");
        let with_source = Told::new(&stack(), Live { source_rung: true, ..live() }, None, None);
        assert!(with_source.human().contains("480p, the source on top"));
        assert!(serde_json::to_string(&told).unwrap().contains(r#""key":"sk_"#));
    }

    #[test]
    fn on_air_until_ended() {
        let mut broadcast = Broadcast {
            broadcast: BroadcastId::new(1, [1; 10]),
            live: live().live,
            state: State::Ending,
            publish: PublishNo::FIRST,
            connection: "12345678".to_owned(),
            earlier: vec![],
            filler: false,
            profile: Profile::P480,
            source_rung: false,
            window_seconds: 60,
            limits: Limits::default(),
            opened: WallTime(1_000_000),
            availability_start: None,
            closed: None,
            ended: None,
        };
        let told = Told::new(&stack(), live(), Some(&broadcast), None);
        assert_eq!(told.state(), "on air since 1970-01-01T00:00:01.000Z");
        broadcast.state = State::Ended;
        assert_eq!(Told::new(&stack(), live(), Some(&broadcast), None).state(), "off air");
        let disabled = Live { disabled: true, ..live() };
        assert_eq!(Told::new(&stack(), disabled, None, None).state(), "disabled");
    }
}
