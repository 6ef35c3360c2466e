"""Lets zc.buildout fetch its files through an artifact cache, with `provost cache fetch`.

A file is looked for in the cache first, among what those whom you believe tell of; otherwise it is fetched from where
it comes from, and uploaded for the next build. Local files, the `download-cache` and offline mode stay what they are:
buildout decides about them before anything is asked here. Whatever goes wrong with the cache, the file is then fetched
as ever, so that no build fails because of it.

Used as an extension it is about what parts download:

    [buildout]
    extensions = provost-buildout

    [provost]                     # all of it may be left out
    program = provost
    options = --no-upload
    skip = https://example.org/raw/master/

Used in the place of `buildout`, as the command `provost-buildout`, it is about what `extends` names as well. Then the
environment says the rest: PROVOST_PROGRAM, PROVOST_FETCH_OPTIONS and PROVOST_FETCH_SKIP.
"""

import email.message
import logging
import os
import shlex
import subprocess

from zc.buildout import download

logger = logging.getLogger('provost')


class Fetching:
    """How files are fetched: with which program, with which options, and which are not."""

    def __init__(self, program='provost', options='', skip=''):
        self.command = [program, 'cache', 'fetch', '--force', *shlex.split(options)]
        self.skip = tuple(skip.split())
        # What buildout says a file must be, while it has it fetched.
        self.md5 = None
        self.retrieve_as_ever = download.urlretrieve

    def retrieve(self, url, path):
        """Takes the place of `urlretrieve`."""
        plain = url.partition('#')[0]
        if plain.startswith(('http://', 'https://')) and not plain.startswith(self.skip) and not has_credentials(plain):
            if self.fetch(plain, path):
                return path, email.message.Message()
        return self.retrieve_as_ever(url, path)

    def fetch(self, url, path):
        """Whether the file is at `path` now."""
        wanted = f'{url}#md5={self.md5}' if self.md5 else url
        try:
            ran = subprocess.run(
                [*self.command, '--out', path, '--', wanted], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors='replace')
        except OSError as error:
            logger.warning('%s is fetched without the cache: %s', url, error)
            return False
        for line in ran.stderr.splitlines():
            logger.debug('%s', line)
        if ran.returncode != 0:
            reason = (ran.stderr.strip().splitlines() or ['no reason'])[-1]
            logger.warning('%s is fetched without the cache (%s): %s', url, ran.returncode, reason)
        return ran.returncode == 0


def has_credentials(url):
    """Whether somebody's name or password stands in the URL: that is not for everybody, nor for logs."""
    return '@' in url.partition('://')[2].partition('/')[0].partition('?')[0]


def md5_in(url):
    """The MD5 in `URL#md5=HEX`, if there is one."""
    for pair in url.partition('#')[2].split('&'):
        name, _, value = pair.partition('=')
        if name == 'md5' and value:
            return value.lower()
    return None


def install(fetching):
    """From now on buildout fetches so."""
    ordinary = getattr(download.Download.download, 'ordinary', download.Download.download)

    def fetched(self, url, md5sum=None, path=None):
        md5sum = md5sum or md5_in(url)
        before, fetching.md5 = fetching.md5, md5sum
        try:
            # It holds what comes against the MD5 as well, wherever it comes from.
            return ordinary(self, url, md5sum, path)
        finally:
            fetching.md5 = before

    fetched.ordinary = ordinary
    download.Download.download = fetched
    fetching.retrieve_as_ever = getattr(download.urlretrieve, 'as_ever', download.urlretrieve)

    def retrieve(url, path):
        return fetching.retrieve(url, path)

    retrieve.as_ever = fetching.retrieve_as_ever
    download.urlretrieve = retrieve


def of_environment():
    """What the environment says."""
    get = os.environ.get
    return Fetching(
        get('PROVOST_PROGRAM', 'provost'), get('PROVOST_FETCH_OPTIONS', ''), get('PROVOST_FETCH_SKIP', ''))


def extension(buildout):
    """The extension of buildout."""
    said = buildout.get('provost', {})
    install(Fetching(said.get('program', 'provost'), said.get('options', ''), said.get('skip', '')))


def main():
    """The command: buildout, whose `extends` are fetched so as well."""
    from zc.buildout import buildout
    install(of_environment())
    buildout.main()


if __name__ == '__main__':
    main()
