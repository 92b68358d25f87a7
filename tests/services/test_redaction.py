"""Passwords in addresses are not shown."""

import pytest

from release_management.services.redaction import (
    redacted,
    redacted_address,
    redacted_data,
)

SECRET = "hunter22"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no nats://client:hunter22@h:4222 there", "no nats://client:***@h:4222 there"),
        ("nats://a:hunter22@h:1,nats://b:hunter22@i:2", "nats://a:***@h:1,nats://b:***@i:2"),
        ("tls://hunter22@h:4222", "tls://***@h:4222"),
        ("'postgresql://u:p@hunter22/x:y@db:5432/relman'", "'postgresql://u:***@db:5432/relman'"),
        (
            "postgresql://u:hunter22%2F%40@db/x?sslpassword=hunter22&sslmode=a",
            "postgresql://u:***@db/x?sslpassword=***",
        ),
        ("host=db user=u password='hunter22 x' dbname=d", "host=db user=u password=*** dbname=d"),
        ("http://u:hunter22@127.0.0.1:8080/health", "http://u:***@127.0.0.1:8080/health"),
    ],
)
def test_a_password_in_a_text_is_hidden_and_the_rest_stays(text: str, shown: str) -> None:
    assert shown in redacted(text)
    assert SECRET not in redacted(text)
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    "text", ["https://host:8080/path/a@b", "https://alice@example.org/x", "mail me@x.org, see http://h/x", "nats://h:1"]
)
def test_text_without_a_password_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("nats://client:hunter22 x@h:1", "nats://***@h:1"),
        ("nats://client:hunter22,y@h:1", "nats://***@h:1"),
        ("nats://hunter22@h:1,tls://c:hunter22@i:2", "nats://***@h:1,tls://***@i:2"),
        ("nats://h:1,i:2", "nats://h:1,i:2"),
    ],
)
def test_of_an_address_the_hosts_are_shown(address: str, shown: str) -> None:
    assert redacted_address(address) == shown


def test_the_texts_of_a_document_are_gone_through() -> None:
    told = {"says": ["nats://c:hunter22@h", 7, None], "nested": {"url": "postgresql://u:hunter22@h/d"}}

    assert redacted_data(told) == {"says": ["nats://c:***@h", 7, None], "nested": {"url": "postgresql://u:***@h/d"}}
