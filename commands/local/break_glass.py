"""`--break-glass NAME`: a link that signs a user in once, whatever else does not work."""

from __future__ import annotations

import click

from commands.command import identities_of, now, run
from commands.local.servers import chosen_database, running_servers
from settings import settings_of
from storage.accounts.sign_in.sessions import DEFAULT_TIMES
from storage.accounts.sign_in.sign_ins import CODE_SECONDS, SignIns


def break_glass(name: str) -> None:
    """Print a link that signs the user NAME in to the dashboard.

    Raises:
        click.ClickException: There is no such user, or the database cannot be used.
    """
    code = run(
        lambda database: SignIns(database, identities_of(database), now=now, times=DEFAULT_TIMES).create_link(name)
    )
    own = chosen_database(settings_of(click.get_current_context())).key
    url = next((server.url for server in running_servers() if server.database.key == own), "")
    where = "" if url else "Put the address of the dashboard before it. "
    click.echo(f"{where}It signs {name} in once, within {CODE_SECONDS / 60:.0f} minutes:", err=True)
    click.echo(f"{url}/#/sign-in/{code}")
