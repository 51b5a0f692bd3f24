"""``mediloop-fhir keys``: make, list, roll and revoke API keys."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer

from adapter.console.options import AsJson, TestOrLive
from adapter.console.session import err, fail, out, require_output, run
from adapter.security import permissions
from adapter.security.keys import Key, Mode
from adapter.service import MODES, Service
from adapter.settings import MOST_A_MINUTE

app = typer.Typer(help="API keys.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    mode: TestOrLive = "test",
    permission: Annotated[
        list[str] | None,
        typer.Option(help="For example appointments:read,write; repeatable. Default: everything, admin included."),
    ] = None,
    rate_limit: Annotated[
        int | None,
        typer.Option(min=0, max=MOST_A_MINUTE, help="Requests a minute; 0 is no limit. Default: the mode's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once: only a hash of it is stored.

    [dim]Example:  mediloop-fhir keys create --name portal --permission appointments:read,write[/dim]
    """
    if not name.strip():
        raise typer.BadParameter("a key needs a name: say what it is for", param_hint="--name")
    if not name.isprintable():  # `keys list` shows it, and a terminal obeys what is not
        raise typer.BadParameter("a key's name is one line of characters that can be shown", param_hint="--name")
    try:
        granted = permissions.parse(permission) if permission else permissions.everything()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    require_output()
    key, secret = run(lambda service: service.keys[mode].create(name, granted, rate_limit=rate_limit))
    _show_new(key, secret, as_json)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys, test and live, without their secrets.

    [dim]Example:  mediloop-fhir keys list --json[/dim]
    """

    async def every(service: Service) -> list[Key]:
        return [key for mode in MODES for key in await service.keys[mode].list()]

    found = run(every)
    if as_json:
        typer.echo(json.dumps([_row(key) for key in found], indent=2))
        return
    for key in found:
        told = f"{key.id}  sk_{key.mode}_...{key.hint}  {key.name}{_facts(key)}"
        out.print(told, markup=False, highlight=False)
        out.print(f"    {', '.join(_granted(key))}", markup=False, highlight=False)


@app.command()
def roll(key_id: KeyId, as_json: AsJson = False) -> None:
    """Replace a key by a new one with the same permissions; the old one stays valid for 24 hours.

    [dim]Example:  mediloop-fhir keys roll key_5f0c1a2b3c4d5e6f[/dim]
    """

    require_output()

    async def rolled(service: Service) -> tuple[Key, str] | None:
        mode = await _mode_of(service, key_id)
        return None if mode is None else await service.keys[mode].roll(key_id)

    found = run(rolled)
    if found is None:
        fail(f"there is no key {key_id}; `mediloop-fhir keys list` shows the ids.")
    _show_new(*found, as_json)


@app.command()
def revoke(key_id: KeyId, as_json: AsJson = False) -> None:
    """End a key at once (processes that have just used it notice within two seconds).

    [dim]Example:  mediloop-fhir keys revoke key_5f0c1a2b3c4d5e6f[/dim]
    """

    async def revoked(service: Service) -> bool:
        mode = await _mode_of(service, key_id)
        return mode is not None and await service.keys[mode].revoke(key_id)

    if not run(revoked):
        fail(f"there is no key {key_id}; `mediloop-fhir keys list` shows the ids.")
    if as_json:
        typer.echo(json.dumps({"revoked": key_id}))
    else:
        out.print(f"Key {key_id} is revoked.", markup=False, highlight=False)


async def _mode_of(service: Service, key_id: str) -> Mode | None:
    for mode in MODES:
        if await service.keys[mode].get(key_id) is not None:
            return mode
    return None


def _show_new(key: Key, secret: str, as_json: bool) -> None:
    if not as_json:
        err.print("This key is shown once. Keep it where keys belong.", highlight=False)
    try:
        typer.echo(json.dumps({**_row(key), "key": secret}) if as_json else secret)
    except OSError as error:  # it is stored, and nobody has it
        fail(f"the key cannot be shown ({error.strerror}). `mediloop-fhir keys revoke {key.id}` ends it; make another.")


def _row(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "mode": key.mode,
        "name": key.name,
        "hint": key.hint,
        "permissions": {resource: sorted(verbs) for resource, verbs in key.permissions.items()},
        "rate_limit": key.rate_limit,
        "created": _moment(key.created),
        "expires": _moment(key.expires),
    }


def _facts(key: Key) -> str:
    facts = [f"made {_moment(key.created)}"]
    if key.expires is not None:
        facts.append(f"ends {_moment(key.expires)}")
    if key.rate_limit is not None:  # else it has the mode's
        facts.append(f"{key.rate_limit} requests a minute" if key.rate_limit else "no rate limit")
    return "".join(f", {fact}" for fact in facts)


def _granted(key: Key) -> list[str]:
    return [f"{resource}:{','.join(sorted(verbs))}" for resource, verbs in key.permissions.items()]


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
