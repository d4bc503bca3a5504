"""Which Elasticsearch and which Redis: the given one, else what runs, else Docker, else here."""

from pathlib import Path

from rich.console import Console

from deploy.local import containers
from deploy.local.elasticsearch import ElasticsearchRecipe
from deploy.local.processes import ProcessServer
from deploy.local.redis_server import RedisRecipe
from deploy.local.servers import GivenServer, Recipe, Server
from deploy.local.settings import GivenSettings, LocalSettings


def elasticsearch(home: Path, settings: LocalSettings, console: Console) -> Server:
    """The Elasticsearch of this home."""
    recipe = ElasticsearchRecipe(settings, console)
    return _choose(recipe, GivenSettings().elasticsearch_url, home / "elasticsearch")


def redis(home: Path, settings: LocalSettings) -> Server:
    """The Redis of this home."""
    return _choose(RedisRecipe(settings.redis_port), GivenSettings().redis_url, home / "redis")


def _choose(recipe: Recipe, given: str | None, folder: Path) -> Server:
    if given:
        return GivenServer(recipe, given)
    process = ProcessServer(recipe, folder)
    if process.running() is None and (engine := containers.engine()):
        return containers.ContainerServer(recipe, folder, engine)
    return process


def startable(home: Path, settings: LocalSettings, console: Console) -> list[Server]:
    """All that may have been started for this home, whatever the environment says now."""
    recipes: tuple[tuple[Recipe, Path], ...] = (
        (ElasticsearchRecipe(settings, console), home / "elasticsearch"),
        (RedisRecipe(settings.redis_port), home / "redis"),
    )
    servers: list[Server] = [ProcessServer(recipe, folder) for recipe, folder in recipes]
    if engine := containers.engine():
        servers += [
            containers.ContainerServer(recipe, folder, engine) for recipe, folder in recipes
        ]
    return servers
