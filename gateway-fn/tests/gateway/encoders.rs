//! Telling encoders: the steady state, and every way in which the bound one can be lost.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    common::{Answer, SECRET, Stack, TABLE, accepted, assert_bound, bound, chunk, close, on_air, pos, send},
    proxy::counted,
};
use gateway_fn::handle::{Gateway, Reply};
use media::{
    id::PublishNo,
    verdict::{Code, Verdict},
    wire::{
        ChunkReply, CloseReason, CloseReply, EncoderEvent, EncoderReply, End, EndReply, GatewayRequest,
        Opened,
    },
};
use service::{config::Secret, table::Table};

fn stopped(reply: ChunkReply) -> Code {
    match reply {
        ChunkReply::Stop(verdict) => verdict.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_chunk_reaches_the_bound_encoder_and_its_verdicts_come_back() {
    let stack = Stack::start().await;
    let (gateway, opened, first, second) = bound(&stack).await;
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    let warning = Verdict::new(Code::GopLong, "long");
    first.then(Answer::Reply(EncoderReply::Accepted { verdicts: vec![warning.clone()] }));
    assert_eq!(chunk(&gateway, &opened, 1).await, ChunkReply::Accepted { warnings: vec![warning.clone()] });
    let fatal = Verdict::new(Code::OpenGop, "open");
    first.then(Answer::Reply(EncoderReply::Accepted { verdicts: vec![warning, fatal.clone()] }));
    assert_eq!(chunk(&gateway, &opened, 2).await, ChunkReply::Stop(fatal));
    let expected: Vec<_> = (0..3).map(|seq| (1, EncoderEvent::Chunk(pos(&opened, seq)))).collect();
    assert_eq!(first.heard(), expected);
    assert_eq!(second.heard(), []);
}

#[tokio::test]
async fn a_ghost_is_stopped_at_its_next_chunk() {
    let stack = Stack::start().await;
    let (gateway, ghost, first, _second) = bound(&stack).await;
    assert_eq!(chunk(&gateway, &ghost, 0).await, accepted());
    // By way of another process: what this one remembers must not let the ghost through.
    let later = on_air(&stack.gateway(), "demo", "connection-2").await;
    first.heard();
    assert_eq!(stopped(chunk(&gateway, &ghost, 1).await), Code::Superseded);
    assert_eq!(first.heard(), []);
    assert_eq!(chunk(&gateway, &later, 0).await, accepted());
    let never_opened = Opened { publish: PublishNo::new(9).unwrap(), ..later };
    assert_eq!(stopped(chunk(&gateway, &never_opened, 0).await), Code::Ended);
}

#[tokio::test]
async fn after_the_end_a_chunk_is_stopped() {
    let stack = Stack::start().await;
    let (gateway, opened, first, _second) = bound(&stack).await;
    first.then(Answer::Reply(EncoderReply::Over));
    assert_eq!(stopped(chunk(&gateway, &opened, 0).await), Code::Ended);
    send(&gateway, GatewayRequest::End(End { live: opened.live.clone() })).await;
    first.heard();
    assert_eq!(stopped(chunk(&gateway, &opened, 1).await), Code::Ended);
    assert_eq!(first.heard(), []);
}

#[tokio::test]
async fn an_encoder_that_died_is_replaced() {
    let stack = Stack::start().await;
    let (gateway, opened, mut first, second) = bound(&stack).await;
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    first.kill().await;
    assert_eq!(chunk(&gateway, &opened, 1).await, accepted());
    assert_bound(&stack, &opened, &second, &first, 2).await;
    assert_eq!(chunk(&gateway, &opened, 2).await, accepted());
    let expected: Vec<_> = (1..3).map(|seq| (2, EncoderEvent::Chunk(pos(&opened, seq)))).collect();
    assert_eq!(second.heard(), expected);
}

#[tokio::test]
async fn an_encoder_that_took_its_name_off_is_replaced() {
    let stack = Stack::start().await;
    let (gateway, opened, first, second) = bound(&stack).await;
    stack.table.forget_encoder(&first.id).await.unwrap();
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    assert_eq!(first.heard(), []);
    assert_eq!(second.heard(), [(2, EncoderEvent::Chunk(pos(&opened, 0)))]);
}

#[tokio::test]
async fn an_encoder_that_answers_nonsense_is_replaced() {
    for answer in [Answer::Status(500), Answer::Status(409), Answer::Garbage] {
        let stack = Stack::start().await;
        let (gateway, opened, first, second) = bound(&stack).await;
        first.then(answer);
        assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
        assert_bound(&stack, &opened, &second, &first, 2).await;
    }
}

#[tokio::test]
async fn an_encoder_that_drains_is_replaced() {
    let stack = Stack::start().await;
    let (gateway, opened, first, second) = bound(&stack).await;
    first.then(Answer::Reply(EncoderReply::Draining));
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    assert_bound(&stack, &opened, &second, &first, 2).await;
    // And back, when the other drains in its turn.
    second.then(Answer::Reply(EncoderReply::Draining));
    assert_eq!(chunk(&gateway, &opened, 1).await, accepted());
    assert_bound(&stack, &opened, &first, &second, 3).await;
}

#[tokio::test]
async fn an_encoder_that_hangs_is_replaced() {
    let stack = Stack::start().await;
    let (gateway, opened, first, second) = bound(&stack).await;
    first.then(Answer::Silence);
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    assert_bound(&stack, &opened, &second, &first, 2).await;
}

#[tokio::test]
async fn a_binding_that_others_moved_is_found_again() {
    let stack = Stack::start().await;
    let (gateway, opened, first, second) = bound(&stack).await;
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    let seen = stack.table.binding(&opened.broadcast).await.unwrap().unwrap();
    let to = stack.table.encoder(&second.id).await.unwrap().unwrap();
    stack.table.rebind(&opened.broadcast, &seen, &to).await.unwrap();
    first.then(Answer::Reply(EncoderReply::Stale));
    assert_eq!(chunk(&gateway, &opened, 1).await, accepted());
    assert_eq!(second.heard(), [(2, EncoderEvent::Chunk(pos(&opened, 1)))]);
    assert_bound(&stack, &opened, &second, &first, 2).await;
}

#[tokio::test]
async fn a_remembered_encoder_that_died_after_the_binding_moved_costs_no_second_move() {
    let stack = Stack::start().await;
    let (gateway, opened, mut first, second) = bound(&stack).await;
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    first.kill().await;
    assert_eq!(chunk(&stack.gateway(), &opened, 1).await, accepted());
    assert_eq!(chunk(&gateway, &opened, 2).await, accepted());
    assert_bound(&stack, &opened, &second, &first, 2).await;
}

#[tokio::test]
async fn an_encoder_that_insists_on_being_stale_is_replaced() {
    let stack = Stack::start().await;
    let (gateway, opened, first, second) = bound(&stack).await;
    first.then(Answer::Reply(EncoderReply::Stale));
    first.then(Answer::Reply(EncoderReply::Stale));
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    assert_bound(&stack, &opened, &second, &first, 2).await;
}

#[tokio::test]
async fn when_nobody_is_left_the_chunk_is_told_again_later() {
    let stack = Stack::start().await;
    let (gateway, opened, mut first, mut second) = bound(&stack).await;
    second.kill().await;
    first.then(Answer::Reply(EncoderReply::Draining));
    let reply = chunk(&gateway, &opened, 0).await;
    assert!(matches!(reply, ChunkReply::Retry { .. }), "{reply:?}");
    // The first has thought better of it: wherever the binding stands now, the chunk gets through in the end.
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    first.kill().await;
    let reply = chunk(&gateway, &opened, 1).await;
    assert!(matches!(reply, ChunkReply::Retry { .. }), "{reply:?}");
    let reply = send(&gateway, close(&opened, 1, CloseReason::Lost)).await;
    assert!(matches!(reply, Reply::Close(CloseReply::Retry { .. })), "{reply:?}");
    let reply = send(&gateway, GatewayRequest::End(End { live: opened.live.clone() })).await;
    assert!(matches!(reply, Reply::End(EndReply::Retry { .. })), "{reply:?}");
    // A new encoder comes up, and takes the broadcast over to finish it.
    let third = stack.encoder("three").await;
    let reply = send(&gateway, close(&opened, 1, CloseReason::Lost)).await;
    assert_eq!(reply, Reply::Close(CloseReply::Closed));
    assert_eq!(third.heard().len(), 1);
}

#[tokio::test]
async fn publisher_and_encoder_dead_at_once_still_end_the_broadcast() {
    let stack = Stack::start().await;
    let (gateway, opened, mut first, second) = bound(&stack).await;
    first.kill().await;
    let reply = send(&gateway, close(&opened, 4, CloseReason::Unpublished)).await;
    assert_eq!(reply, Reply::Close(CloseReply::Closed));
    let told = EncoderEvent::Close { publish: opened.publish, chunks: 4, reason: CloseReason::Unpublished };
    assert_eq!(second.heard(), [(2, told)]);
    assert_bound(&stack, &opened, &second, &first, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_notices_of_a_dead_encoder_move_the_binding_once() {
    let stack = Stack::start().await;
    let (_, opened, mut first, second) = bound(&stack).await;
    first.kill().await;
    let mut racers = tokio::task::JoinSet::new();
    for seq in 0..8 {
        let (gateway, opened) = (stack.gateway(), opened.clone());
        racers.spawn(async move { chunk(&gateway, &opened, seq).await });
    }
    assert!(racers.join_all().await.into_iter().all(|reply| reply == accepted()));
    assert_bound(&stack, &opened, &second, &first, 2).await;
    let heard = second.heard();
    assert_eq!(heard.len(), 8);
    assert!(heard.iter().all(|(epoch, _)| *epoch == 2));
}

#[tokio::test]
async fn a_chunk_of_the_steady_state_costs_one_read_and_no_write() {
    let stack = Stack::start().await;
    let (_, opened, _first, _second) = bound(&stack).await;
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let endpoint = counted(&stack.endpoint, counts.clone()).await;
    let gateway = Gateway::new(Table::new(&super::common::config(&endpoint), TABLE), Secret::new(SECRET));
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    let before = counts[0].swap(0, Ordering::SeqCst);
    assert_eq!(before, 3, "state, binding, encoder");
    for seq in 1..=5 {
        assert_eq!(chunk(&gateway, &opened, seq).await, accepted());
    }
    assert_eq!(counts[0].load(Ordering::SeqCst), 5);
    assert_eq!(counts[1].load(Ordering::SeqCst), 0);
}
