//! The routes of uploads that may come in several pieces.

use cache::PutArtifact;
use http::Method;

use super::{Call, Conditions, Header, Row};

const LENGTH: Header = Header {
    name: "Upload-Length",
    description: "How many bytes it has in all",
    pattern: wire::rules::BYTES,
    is_required: false,
};
const COMPLETE: Header = Header {
    name: "Upload-Complete",
    description: "`?1` when the last bytes come with this request",
    pattern: wire::rules::UPLOAD_COMPLETE,
    is_required: false,
};
const MUST_COMPLETE: Header = Header { is_required: true, ..COMPLETE };
const OFFSET: Header = Header {
    name: "Upload-Offset",
    description: "How many bytes have come before these",
    pattern: wire::rules::BYTES,
    is_required: true,
};
const DIGEST: Header = Header {
    name: "Repr-Digest",
    description: "What the bytes are, all of them: nothing is kept when they are others",
    pattern: wire::rules::REPR_DIGEST,
    is_required: false,
};
const CAME: Header =
    Header { description: "How many bytes have come", pattern: wire::rules::BYTES, ..OFFSET };
const IS_COMPLETE: Header = Header { description: "`?1` when all of it is kept", ..COMPLETE };
const LIMIT: Header = Header {
    name: "Upload-Limit",
    description: "How long an upload is kept that nobody asks for, in seconds",
    pattern: "^max-age=[0-9]+$",
    is_required: false,
};
const SAYS: &[Header] = &[CAME, IS_COMPLETE, LENGTH, LIMIT];

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::post(
            "/cache/uploads",
            Call::OpenUpload,
            "openUpload",
            "Begin to upload an artifact that may come in several pieces, or go on with one that was begun with the same digest \
             and length; what has come stays when a connection is cut",
        )
        .may::<PutArtifact>()
        .uploads(&[LENGTH, COMPLETE, DIGEST], Some("application/octet-stream"))
        .answers::<wire::Upload>(201)
        .says(SAYS)
        .or(&[404, 409, 422]),
        Row::get("/cache/uploads/{upload}", Call::Upload, "getUpload", "How much of an upload has come")
            .unconditional()
            .may::<PutArtifact>()
            .answers::<wire::Upload>(200)
            .says(SAYS)
            .or(&[404, 409]),
        Row::new(
            Method::PATCH,
            "/cache/uploads/{upload}",
            Call::AppendToUpload,
            "appendToUpload",
            "Add some bytes to an upload, behind those that have come; with the last ones it is kept",
            Conditions::None,
        )
        .may::<PutArtifact>()
        .uploads(&[OFFSET, MUST_COMPLETE, LENGTH], Some(wire::PARTIAL_UPLOAD))
        .answers::<wire::Upload>(201)
        .answers_nothing()
        .says(SAYS)
        .or(&[404, 409, 422]),
        Row::delete("/cache/uploads/{upload}", Call::CancelUpload, "cancelUpload", "Forget an upload")
            .unconditional()
            .may::<PutArtifact>()
            .or(&[404, 409]),
    ]
}
