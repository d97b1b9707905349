//! Where publishes begin: the floor, and what keeps fills off it.

use gateway_fn::handle::{Gateway, Reply};
use media::{
    id::BroadcastId,
    ledger::{Fill, Naming, Shown},
    time::{Ticks, WallTime},
    verdict::Code,
    wire::{Opened, StartReply},
};
use service::{
    clock,
    table::{Binding, Floor, Table, TableError},
};

use super::common::{Stack, on_air, send, start};

const SECOND: Ticks = 90_000;

/// When and where a start says that its publish begins.
async fn started(gateway: &Gateway, opened: &Opened, first_frame: i64) -> (WallTime, Option<Ticks>) {
    match send(gateway, start(opened, first_frame)).await {
        Reply::Start(StartReply::Started { availability_start, resume_at }) => {
            (availability_start, resume_at)
        }
        other => panic!("{other:?}"),
    }
}

/// Fills from the end of the live timeline, the way an encoder does.
async fn fill(
    table: &Table,
    broadcast: &BroadcastId,
    seen: &Binding,
    length: Ticks,
) -> Result<(), TableError> {
    let start = seen.live_end.unwrap_or(0);
    let fill = Fill {
        epoch: seen.epoch,
        start,
        end: start + length,
        shown: Shown::Held,
        naming: Naming::Plain,
        segments: vec![],
        committed: clock::now(),
    };
    table.commit_fill(broadcast, seen, &fill).await.map(|_| ())
}

#[tokio::test]
async fn a_returning_publish_begins_at_its_first_frame_or_where_the_live_timeline_ends() {
    let stack = Stack::start().await;
    stack.live("demo").await;
    let _encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    let first = on_air(&gateway, "demo", "connection-1").await;
    let begin = WallTime(1_000_000);
    assert_eq!(started(&gateway, &first, begin.0).await, (begin, None));
    let seen = || async { stack.table.binding(&first.broadcast).await.unwrap().unwrap() };
    assert_eq!(seen().await.floor, None, "nothing is before the first");
    fill(&stack.table, &first.broadcast, &seen().await, 10 * SECOND).await.unwrap();

    // Eleven seconds after the beginning, when ten are shown.
    let second = on_air(&gateway, "demo", "connection-2").await;
    assert_eq!(started(&gateway, &second, 12_000_000).await, (begin, Some(11 * SECOND)));
    assert_eq!(seen().await.floor, Some(Floor { publish: second.publish, at: 11 * SECOND }));
    fill(&stack.table, &first.broadcast, &seen().await, SECOND).await.unwrap();
    fill(&stack.table, &first.broadcast, &seen().await, 4 * SECOND).await.unwrap();

    // By a clock that is behind: not before what is shown.
    let third = on_air(&gateway, "demo", "connection-3").await;
    assert_eq!(started(&gateway, &third, 0).await, (begin, Some(15 * SECOND)));
    assert_eq!(
        started(&stack.gateway(), &third, 99_000_000).await,
        (begin, Some(15 * SECOND)),
        "asked again"
    );
    let ghost = send(&gateway, start(&second, 12_000_000)).await;
    assert!(
        matches!(&ghost, Reply::Start(StartReply::Stop(verdict)) if verdict.code == Code::Superseded),
        "{ghost:?}"
    );
}

#[tokio::test]
async fn a_fill_that_saw_no_floor_is_refused() {
    let stack = Stack::start().await;
    stack.live("demo").await;
    let _encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    let first = on_air(&gateway, "demo", "connection-1").await;
    started(&gateway, &first, 0).await;
    let before = stack.table.binding(&first.broadcast).await.unwrap().unwrap();
    let second = on_air(&gateway, "demo", "connection-2").await;
    // The second second's publish begins before the end of what would be filled.
    assert_eq!(started(&gateway, &second, 1_000_000).await.1, Some(SECOND));
    let refused = fill(&stack.table, &first.broadcast, &before, 2 * SECOND).await.unwrap_err();
    assert!(refused.is_conflict(), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fills_and_a_return_at_once_never_overlap() {
    let stack = Stack::start().await;
    stack.live("demo").await;
    let _encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    let first = on_air(&gateway, "demo", "connection-1").await;
    started(&gateway, &first, 0).await;
    for publish in 2..8 {
        let again = on_air(&gateway, "demo", &format!("connection-{publish}")).await;
        let (table, broadcast) = (stack.table.clone(), first.broadcast.clone());
        // An encoder that fills until it sees the floor of this publish.
        let filler = tokio::spawn(async move {
            loop {
                let seen = table.binding(&broadcast).await.unwrap().unwrap();
                if seen.floor.is_some_and(|floor| floor.publish.get() == publish) {
                    return;
                }
                match fill(&table, &broadcast, &seen, SECOND).await {
                    Ok(()) | Err(TableError::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let (_, resume_at) = started(&gateway, &again, 0).await;
        filler.await.unwrap();
        let shown = stack.table.binding(&first.broadcast).await.unwrap().unwrap();
        assert_eq!(shown.floor.map(|floor| floor.at), resume_at);
        assert!(shown.live_end <= resume_at, "{shown:?}");
    }
}

#[tokio::test]
async fn a_first_publish_that_never_began_does_not_keep_the_second_from_beginning() {
    let stack = Stack::start().await;
    stack.live("demo").await;
    let _encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    on_air(&gateway, "demo", "connection-1").await;
    let second = on_air(&gateway, "demo", "connection-2").await;
    assert_eq!(started(&gateway, &second, 5_000).await, (WallTime(5_000), Some(0)));
    assert_eq!(started(&gateway, &second, 5_000).await, (WallTime(5_000), Some(0)));
}
