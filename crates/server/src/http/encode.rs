//! Answers as bytes.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, STRICT_TRANSPORT_SECURITY};
use http::{HeaderValue, Response, StatusCode};
use keyfold_api::error;
use keyfold_core::Reply;
use keyfold_core::chunks::Stream;

use super::failure::{Failure, FailureBody};
use super::outgoing::Outgoing;
use crate::config::listener::ExtraHeader;

/// An answer as hyper takes it.
pub type Answer = Response<Outgoing>;

/// A reply of core.
pub fn reply(request_id: &str, reply: Reply) -> Answer {
    let usual = if reply.is_empty() {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::OK
    };
    let status = match reply.status {
        Some(status) => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        None => usual,
    };
    let body = match reply.stream.as_ref().and_then(Stream::take) {
        Some(chunks) => Outgoing::streamed(chunks),
        None => Outgoing::new(reply.body(request_id)),
    };
    let mut answer = answer(status, body);
    if let Some(media) = reply.media {
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    }
    answer.map(|body| body.before(reply.after))
}

/// An error.
pub fn failure(failure: &Failure) -> Answer {
    let body = match &failure.body {
        FailureBody::Silent => error::errors::<&str>(&[]),
        FailureBody::Text(text) => error::errors(&[text]),
    };
    answer(failure.status, Outgoing::new(body))
}

/// Adds the headers of the listener's configuration.
pub fn add_headers(answer: &mut Answer, headers: &[ExtraHeader]) {
    let status = answer.status().as_u16();
    for header in headers.iter().filter(|header| header.on.contain(status)) {
        answer
            .headers_mut()
            .insert(header.name.clone(), header.value.clone());
    }
}

/// The same answer without its body, for HEAD.
pub fn without_body(answer: Answer) -> Answer {
    answer.map(|_| Outgoing::default())
}

fn answer(status: StatusCode, body: Outgoing) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    );
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use keyfold_core::reply::{Form, Json};

    use super::*;

    async fn text(answer: Answer) -> (u16, String) {
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn data() -> Option<Json> {
        Some(Json::raw(br#"{"k":1}"#.to_vec()))
    }

    #[tokio::test]
    async fn forms_of_an_answer() {
        let nothing = reply("id", Reply::none());
        assert_eq!(nothing.headers()["cache-control"], "no-store");
        assert_eq!(nothing.headers()["content-type"], "application/json");
        assert_eq!(text(nothing).await, (204, String::new()));

        let enveloped = text(reply(
            "id",
            Reply {
                data: data(),
                ..Reply::default()
            },
        ))
        .await;
        assert_eq!(enveloped.0, 200);
        assert!(
            enveloped.1.starts_with(r#"{"request_id":"id","#),
            "{}",
            enveloped.1
        );

        let injected = Reply {
            data: data(),
            form: Form::Injected,
            ..Reply::default()
        };
        assert!(
            text(reply("id", injected))
                .await
                .1
                .starts_with(r#"{"k":1,"request_id":"id","#)
        );

        let bare = Reply {
            data: data(),
            form: Form::Bare,
            status: Some(503),
            ..Reply::default()
        };
        assert_eq!(
            text(reply("id", bare)).await,
            (503, "{\"k\":1}\n".to_owned())
        );

        let warned = text(reply("id", Reply::none().warn("w"))).await;
        assert_eq!(warned.0, 200);
        assert!(
            warned
                .1
                .contains(r#""data":null,"wrap_info":null,"warnings":["w"]"#)
        );

        let bare_status = text(reply("id", Reply::none().with_status(404))).await;
        assert_eq!(bare_status, (404, String::new()));
    }

    #[tokio::test]
    async fn forms_of_an_error() {
        let silent = text(failure(&Failure::silent(StatusCode::NOT_FOUND))).await;
        assert_eq!(silent, (404, "{\"errors\":[]}\n".to_owned()));
        let said = text(failure(&Failure::bad("a \"b\""))).await;
        assert_eq!(said, (400, "{\"errors\":[\"a \\\"b\\\"\"]}\n".to_owned()));
    }
}
