"""Each of the nine errors comes with its code and its name, in the envelope."""

import pytest

TOKEN = "app.1.simulated-secret"


def outcome(response):
    meta = response.json()["meta"]

    assert response.status_code == meta["status"]
    assert response.json()["data"] == {}
    assert meta["error_message"]
    return meta["status"], meta["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/apps/1/users"),
        ("POST", "/apps/1/users"),
        ("GET", "/users/12/props"),
        ("DELETE", "/conversations/1/tag"),
    ],
)
def test_a_wrong_method_is_405(served, method, path):
    reader = served()

    assert outcome(reader.session.request(method, reader.base_url + path, timeout=20)) == (405, "MethodNotAllowed")


@pytest.mark.parametrize("path", ["/", "/users", "/apps/1", "/apps/1/events", "/users/1/props/2", "/v1/apps/1/users"])
def test_an_unknown_method_of_the_api_is_404(served, path):
    assert outcome(served().get(path)) == (404, "Error404")


@pytest.mark.parametrize("params", [{}, {"auth_token": "app.1.other"}, {"auth_token": ""}])
def test_no_token_or_another_is_401(served, params):
    reader = served()
    reader.session.params = {}

    assert outcome(reader.get("/apps/1/users", **params)) == (401, "NotAuthenticated")


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "bearer"])
def test_the_header_counts_only_when_set(served, scheme):
    for allowed, status in ((False, 401), (True, 200)):
        reader = served(header_auth=allowed)
        reader.session.params = {}
        reader.session.headers["Authorization"] = f"{scheme} {TOKEN}"

        assert status == reader.get("/apps/1/users").status_code


def test_another_app_is_403(served):
    assert outcome(served().get("/apps/2/users")) == (403, "PermissionDeniedError")


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("/apps/1/users", {"count": 0}, "count"),
        ("/apps/1/users", {"count": 51}, "count"),
        ("/apps/1/conversations", {"count": "ten"}, "count"),
        ("/apps/1/conversations", {"count": ""}, "count"),
        ("/apps/1/conversations", {"after": "yesterday"}, "after"),
        ("/apps/1/conversations", {"after": "1.5e9"}, "after"),
        ("/apps/1/conversations", {"assigned": "me"}, "assigned"),
        ("/apps/1/users", {"sort_prop": "$email"}, "sort_prop"),
        ("/apps/1/users", {"sort_order": "asc"}, "sort_order"),
        ("/apps/1/users", {"filters": "{}"}, "filters"),
        ("/users/ann", {}, "id"),
        ("/users/0/events", {}, "id"),
        ("/conversations/18446744073709551616", {}, "id"),
    ],
)
def test_a_bad_argument_is_a_validation_error_that_names_it(served, path, params, field):
    response = served().get(path, **params)

    assert outcome(response) == (400, "ValidationError")
    assert [field] == list(response.json()["meta"]["error_fields"])


@pytest.mark.parametrize("limit", ["51", "-1", "x"])
def test_a_bad_limit_is_a_validation_error_where_offsets_page(served, limit):
    response = served(users_dialect="offset").get("/apps/1/users", limit=limit)

    assert {"limit"} == set(response.json()["meta"]["error_fields"])


@pytest.mark.parametrize(
    "path", ["/users/5", "/users/12/events", "/conversations/1160406004324630614/parts", "/users/7/conversations"]
)
def test_a_missing_object_is_a_lookup_error_with_400(served, path):
    assert outcome(served().get(path)) == (400, "LookupError")


def test_an_unknown_user_id_of_the_customers_is_a_lookup_error_for_a_reader(served):
    reader = served()

    assert outcome(reader.get("/users/nobody", by_user_id="true")) == (400, "LookupError")
    assert len(reader.users()) == 60


def test_a_request_that_makes_no_sense_is_a_bad_request(served):
    reader = served()
    user_id = reader.users()[0]["id"]

    assert outcome(reader.post(f"/users/{user_id}/startconversation")) == (400, "BadRequest")


def test_errors_are_counted_like_answers(served):
    reader = served()
    reader.get("/apps/2/users")
    reader.get("/nothing")
    requests = reader.sim.requests

    assert requests.by_status == {403: 1, 404: 1}
    assert requests.by_endpoint == {"GET /apps/{id}/users": 1, "GET (unknown)": 1}


def test_the_token_is_never_in_the_log(served):
    reader = served()
    reader.get("/apps/1/users", count=3)

    assert reader.sim.requests.log[-1].params == {"id_as_string": "true", "count": "3"}
    assert TOKEN not in repr(reader.sim.requests.log)
    assert TOKEN not in repr(reader.sim.settings.public())
