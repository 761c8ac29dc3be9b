"""Each failed connection and each answer of somebody else names its cause and what to do."""

from __future__ import annotations

import socket

import pytest
import requests

from processors.connection_faults import answered_by_another, next_step
from processors.contracts.http_session import Session


def fault_of(url: str, **proxies: str) -> requests.RequestException:
    with pytest.raises(requests.RequestException) as caught:
        Session().get(url, proxies=proxies, timeout=2)
    return caught.value


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_nothing_listens() -> None:
    assert "firewall" in next_step(fault_of(f"http://127.0.0.1:{closed_port()}"))


def test_a_name_that_nobody_knows() -> None:
    assert "DNS" in next_step(fault_of("http://webexapis.invalid"))


def test_a_proxy_that_is_not_there() -> None:
    assert "NO_PROXY" in next_step(fault_of("http://webexapis.invalid", http=f"http://127.0.0.1:{closed_port()}"))


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] unable to get local issuer"), "REQUESTS_CA_BUNDLE"),
        (requests.exceptions.SSLError("[SSL: WRONG_VERSION_NUMBER]"), "TLS"),
        (requests.exceptions.ProxyError("Tunnel connection failed: 407 Proxy Authentication Required"), "user and password"),
        (requests.exceptions.ConnectTimeout("connect timeout=5"), "firewall"),
        (requests.exceptions.ReadTimeout("read timeout=20"), ""),
        (requests.exceptions.ConnectionError("IncompleteRead(1407 bytes read, 5 more expected)"), ""),
        (ConnectionResetError("reset by peer"), ""),
    ],
)
def test_what_to_do(fault: Exception, named: str) -> None:
    assert named in next_step(fault) if named else next_step(fault) == ""


def test_a_cause_is_found_however_deep_it_lies() -> None:
    outer = requests.ConnectionError("it failed")
    outer.__cause__ = requests.ConnectionError(OSError("[SSL: CERTIFICATE_VERIFY_FAILED]"))
    outer.__cause__.__context__ = outer
    assert "REQUESTS_CA_BUNDLE" in next_step(outer)


def answer(status: int, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    return response


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_names_the_host_it_leads_to_and_nothing_more(status: int) -> None:
    told = answered_by_another(answer(status, Location="https://login.example.org/sso?token=secret"))
    assert "leads to login.example.org, such as a sign-in page" in told
    assert "secret" not in told


@pytest.mark.parametrize(("status", "named"), [(407, "user and password"), (511, "sign-in page"), (302, "sign-in page")])
def test_an_answer_of_somebody_else(status: int, named: str) -> None:
    assert named in answered_by_another(answer(status))


@pytest.mark.parametrize("status", [200, 400, 403, 404, 429, 500, 503])
def test_an_answer_of_the_service(status: int) -> None:
    assert answered_by_another(answer(status)) == ""


def test_a_page_where_the_service_gives_none() -> None:
    assert "sign-in page" in answered_by_another(answer(200), page=True)
