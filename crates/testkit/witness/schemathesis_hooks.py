"""Every request comes from somewhere else, as a trusted proxy would say: the wrong credentials that are tried on
purpose would else make the server stop looking at any, which is not what is tried here."""

import itertools

import schemathesis

numbers = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    number = next(numbers)
    case.headers = case.headers or {}
    case.headers["X-Forwarded-For"] = f"198.18.{number >> 8 & 255}.{number & 255}"


# Some of an upload is any bytes.
schemathesis.serializer.alias("application/partial-upload", "application/octet-stream")
