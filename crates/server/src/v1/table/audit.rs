//! The routes of the history, and of what is done about authorities.

use ca::Rotate;
use engine::audit::ReadAudit;
use wire::Page;

use super::{Call, PAGED, Parameter, Row};

const EVENTS: &[Parameter] = &[
    Parameter::Limit,
    Parameter::After,
    Parameter::Since,
    Parameter::Until,
    Parameter::What,
    Parameter::About,
    Parameter::By,
    Parameter::Trade,
];

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::get("/audit", Call::Audit, "listAuditEvents", "What happened, the oldest first, a page at a time")
            .may::<ReadAudit>()
            .query(EVENTS)
            .answers::<Page<wire::AuditEvent>>(200)
            .or(&[422]),
        Row::get("/audit/head", Call::AuditHead, "getAuditHead", "How far the history is linked")
            .may::<ReadAudit>()
            .answers::<wire::AuditHead>(200),
        Row::get(
            "/audit/links",
            Call::AuditLinks,
            "listAuditLinks",
            "The links of the history and what they cover, the oldest first, a page at a time",
        )
        .may::<ReadAudit>()
        .query(PAGED)
        .answers::<Page<wire::AuditLink>>(200)
        .or(&[422]),
        Row::post(
            "/ca/{authority}/rotations",
            Call::RotateAuthority,
            "rotateAuthority",
            "Make the next CA certificate of an authority now, which signs once everybody has heard of it; with `dry_run` \
             only tell when that would be",
        )
        .may::<Rotate>()
        .takes::<wire::NewRotation>()
        .answers::<wire::Rotation>(200)
        .or(&[404, 409]),
    ]
}
