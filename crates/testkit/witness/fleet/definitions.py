"""Section 3.5: networks and container managers."""

from client import check, clean, cluster


def definitions(admin):
    """3.5"""
    check("networks", admin.says("GET", "/networks/", None, 200), ["default"])
    admin.says(
        "GET", "/network/default", None, 200, {"name": "default", "type": "flannel_etcd", "options": {}}
    )
    admin.says("PUT", "/network/default", {}, 201)
    for path, default, types, wrong in [
        (
            "network",
            "flannel_etcd",
            {"flannel_server": "flannel_server", "flanneld_service": "flannel_server"},
            ["trivial", "", "Flannel_etcd", 7, None, []],
        ),
        (
            "containermanager",
            "openshift",
            {"trivial": "trivial", "kubernetes": "kubernetes"},
            ["flannel_etcd", "", "swarm", 7, None, []],
        ),
    ]:
        one, all_of_them = f"/{path}/one", f"/{path}s"
        admin.says("GET", one, None, 404)
        admin.says("DELETE", one, {}, 404)
        admin.says("PUT", one, {}, 201, {"name": "one", "type": default, "options": {}})
        admin.says("PUT", one + "/", {"type": default, "options": {}}, 201)
        admin.says("PUT", one, {"options": {"a": 1}}, 409)
        for given, stored in types.items():
            admin.says("PUT", one, {"type": given}, 409)
            admin.says(
                "PUT",
                f"/{path}/{given}",
                {"type": given},
                201,
                {"name": given, "type": stored, "options": {}},
            )
            admin.says("GET", f"/{path}/{given}/", None, 200, {"name": given, "type": stored, "options": {}})
            admin.says("PUT", f"/{path}/{given}", {"type": stored}, 201)
        for given in wrong:
            admin.says("PUT", f"/{path}/wrong", {"type": given}, 400)
        for given in [None, [], "{}", 7]:
            admin.says("PUT", f"/{path}/wrong", {"options": given}, 400)
        admin.says("PUT", f"/{path}/" + "x" * 201, {}, 400)
        admin.says("GET", f"/{path}/wrong", None, 404)
        # Whatever JSON the options are, they come back; administrators see the secret ones.
        options = {
            "address": "10.0.0.1:8080",
            "token": "hunter2",
            "deep": {"a": [1, None, 1.5e200, "é"]},
            "": True,
        }
        full = {"name": "full", "type": default, "options": options}
        admin.says("PUT", f"/{path}/full", full, 201, full)
        admin.says("PUT", f"/{path}/full", full, 201, full)
        admin.says("PUT", f"/{path}/full", {"options": {**options, "token": "other"}}, 409)
        admin.says("GET", f"/{path}/full", None, 200, full)
        # More than is kept in one piece.
        admin.says("PUT", f"/{path}/huge", {"options": {"a": "x" * (600 * 1024)}}, 413)
        admin.says("GET", f"/{path}/huge", None, 404)
        names = sorted([*types, "one", "full"] + (["default"] if path == "network" else []))
        check("names", sorted(admin.says("GET", all_of_them + "/", None, 200)), names)
        admin.says("DELETE", one + "/", {}, 200, [])
        admin.says("DELETE", one, {}, 404)
    admin.says("DELETE", "/network/default", None, 200, [])
    admin.says("GET", "/network/default", None, 404)
    # A cluster that names none is still in it.
    admin.says("PUT", "/cluster/web", {}, 201, cluster("web"))
    admin.says("PUT", "/network/default", {}, 201)
    clean(admin)
