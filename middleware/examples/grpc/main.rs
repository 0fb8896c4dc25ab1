//! An order service that speaks gRPC: one method that answers, and one that streams for as long as the permission lasts. It needs the
//! guard without any of its features.
//!
//! Start the server (`cargo run --release`), and register the service and a caller, from the root of the repository:
//!
//! ```sh
//! umask 077
//! alias portcullis=target/release/portcullis
//! portcullis client create --preset service --name Orders --api https://orders.example --format json > orders.json
//! portcullis client create --preset m2m --name Robot --api https://orders.example --role viewer --format json > robot.json
//! ```
//!
//! Start this service:
//!
//! ```sh
//! export ORDERS_ISSUER=http://localhost:8080 ORDERS_AUDIENCE=https://orders.example
//! export ORDERS_CLIENT_ID=$(jq -r .client_id orders.json) ORDERS_CLIENT_SECRET=$(jq -r .client_secret orders.json)
//! cargo run --release -p portcullis-guard --example grpc
//! ```
//!
//! Call it. Five zero bytes are a message without fields, and `grpc-status` says what came of it: 16 without a token, 0 with one, 7 for
//! what is not in the table.
//!
//! ```sh
//! TOKEN=$(curl -s http://localhost:8080/token -u "$(jq -r '.client_id + ":" + .client_secret' robot.json)" \
//!   -d grant_type=client_credentials -d resource=https://orders.example | jq -r .access_token)
//! call() { curl -s --http2-prior-knowledge -X POST -D - -o /dev/null -H 'Content-Type: application/grpc' \
//!   -H 'TE: trailers' "$@" | grep -i '^grpc-status'; }
//! printf '\0\0\0\0\0' > message
//! call http://127.0.0.1:8084/shop.v1.Orders/List
//! call http://127.0.0.1:8084/shop.v1.Orders/List -H "Authorization: Bearer $TOKEN" --data-binary @message
//! call http://127.0.0.1:8084/shop.v1.Orders/Delete -H "Authorization: Bearer $TOKEN"
//! ```

mod shop;

use std::env;
use std::error::Error;
use std::time::Duration;

use futures_util::stream;
use portcullis_guard::{
    Guard, Issuer, Policy, PolicyEndpoint, Principal, RouteFault, RouteTable, TableLayer, rbac,
};
use tonic::transport::Server;
use tonic::{Request, Status};
use tracing_subscriber::EnvFilter;

use crate::shop::{ListRequest, ListResponse, Order, Orders, OrdersServer, Shop, WatchRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let issuer = required("ORDERS_ISSUER")?;
    let rules = format!("{}/policies/snapshot", issuer.trim_end_matches('/'));
    let rules = PolicyEndpoint::new(rules, required("ORDERS_CLIENT_ID")?, required("ORDERS_CLIENT_SECRET")?);
    let guard = Guard::builder()
        .issuer(Issuer::oidc(&issuer))
        .audience(required("ORDERS_AUDIENCE")?)
        .policy(Policy::remote(rules))
        .build()
        .await?;
    let listen = env::var("ORDERS_LISTEN").unwrap_or_else(|_| "127.0.0.1:8084".to_owned());
    tracing::info!(listen, "orders are served");
    Server::builder().layer(table(&guard)?).add_service(OrdersServer(Counter)).serve(listen.parse()?).await?;
    Ok(())
}

/// What each method requires. One that is not in the table is refused to everybody.
fn table(guard: &Guard) -> Result<TableLayer, RouteFault> {
    RouteTable::new()
        .route("/shop.v1.Orders/List", rbac("orders", "read"))
        .route("/shop.v1.Orders/Watch", rbac("orders", "read"))
        .streams()
        .grpc()
        .guarded_by(guard)
}

#[derive(Clone)]
struct Counter;

impl Shop for Counter {
    /// The guard leaves the caller in the extensions of the request.
    fn list(&self, request: &Request<ListRequest>) -> Result<ListResponse, Status> {
        let caller = request.extensions().get::<Principal>();
        let caller = caller.ok_or_else(|| Status::internal("the guard is missing"))?;
        let orders = vec![Order { id: 1, item: format!("a gate for {}", caller.subject()) }];
        Ok(ListResponse { orders })
    }

    /// An order now and then, for ever: the guard ends the call when the permission ends.
    fn watch(&self, _: &Request<WatchRequest>) -> Result<Orders, Status> {
        let orders = stream::unfold(1, async |id| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok(Order { id, item: "a gate".to_owned() }), id + 1))
        });
        Ok(Box::pin(orders))
    }
}

fn required(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}
