//! A service of tonic behind the guard, and a client of tonic.

use futures_util::StreamExt;
use http::uri::PathAndQuery;
use portcullis_tests::database::Database::Sqlite;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::chat::revoke;
use crate::example::{Ground, PATIENCE, instructions};

const ORDERS: &str = "https://orders.example";

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
struct Listed {
    #[prost(message, repeated, tag = "1")]
    orders: Vec<Order>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Order {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    item: String,
}

struct Client(Grpc<Channel>);

impl Client {
    async fn to(address: &str) -> Self {
        let channel = Channel::from_shared(address.to_owned()).unwrap().connect().await.unwrap();
        Self(Grpc::new(channel))
    }

    async fn list(&mut self, token: &str) -> Result<Vec<Order>, Status> {
        self.unary::<Listed>("/shop.v1.Orders/List", token).await.map(|listed| listed.orders)
    }

    async fn unary<T: prost::Message + Default + 'static>(
        &mut self,
        path: &'static str,
        token: &str,
    ) -> Result<T, Status> {
        self.0.ready().await.unwrap();
        let codec = ProstCodec::<Nothing, T>::default();
        let answer = self.0.unary(by(token), PathAndQuery::from_static(path), codec).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn watch(&mut self, token: &str) -> Result<Streaming<Order>, Status> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/shop.v1.Orders/Watch");
        let answer = self.0.server_streaming(by(token), path, ProstCodec::<Nothing, Order>::default()).await;
        answer.map(tonic::Response::into_inner)
    }
}

/// An empty message, with a token unless that is empty.
fn by(token: &str) -> Request<Nothing> {
    let mut request = Request::new(Nothing {});
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

/// What a stream says next: an order, or the status that it ends with.
async fn next(stream: &mut Streaming<Order>) -> Result<Order, Status> {
    let next = tokio::time::timeout(PATIENCE, stream.next()).await.expect("something comes");
    next.unwrap_or_else(|| Err(Status::ok("")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_refused_by_their_own_statuses_and_streams_end_with_one_sqlite() {
    let ground = Ground::new(Sqlite, "http://127.0.0.1:8084").await;
    let [register, start, calls] =
        <[String; 3]>::try_from(instructions("grpc/main.rs")).expect("three blocks");
    ground.terminal().run(&ground.at_home(&register));
    let orders = ground.start(&start).await;
    let printed = ground.terminal().run(&ground.at_home(&calls));
    let statuses: Vec<_> =
        printed.lines().filter_map(|line| line.split(": ").nth(1)).map(str::trim).collect();
    assert_eq!(statuses, ["16", "0", "7"], "{printed}");

    let (robot, stranger) = (ground.client("robot.json"), ground.other(ORDERS, None));
    let (viewer, nobody) = (ground.token(&robot, ORDERS).await, ground.token(&stranger, ORDERS).await);
    let mut client = Client::to(&orders.address).await;
    let code = |answer: Result<Vec<Order>, Status>| answer.map_or_else(|status| status.code(), |_| Code::Ok);
    // Whoever is refused hears so before the message was read, and has to hear it each time.
    for _ in 0..50 {
        assert_eq!(code(client.list("").await), Code::Unauthenticated);
        assert_eq!(code(client.list("none").await), Code::Unauthenticated);
    }
    assert_eq!(code(client.list(&nobody).await), Code::PermissionDenied);
    assert_eq!(client.list(&viewer).await.unwrap()[0].item, format!("a gate for {}", robot.id));
    for path in [
        "/shop.v1.Orders/Delete",
        "/shop.v1.orders/List",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        let refused = client.unary::<Nothing>(path, &viewer).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{path}");
    }

    assert_eq!(client.watch("").await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(client.watch(&nobody).await.unwrap_err().code(), Code::PermissionDenied);
    let other = ground.token(&robot, ORDERS).await;
    let (mut one, mut two) = (client.watch(&viewer).await.unwrap(), client.watch(&other).await.unwrap());
    assert_eq!((next(&mut one).await.unwrap().id, next(&mut two).await.unwrap().id), (1, 1));
    revoke(&ground.server, &robot, &viewer).await;
    let ended = loop {
        if let Err(status) = next(&mut one).await {
            break status;
        }
    };
    assert_eq!((ended.code(), ended.message()), (Code::Unauthenticated, "the access token was revoked"));
    assert_eq!(code(client.list(&viewer).await), Code::Unauthenticated);
    for _ in 0..10 {
        next(&mut two).await.expect("the other goes on");
    }
}
