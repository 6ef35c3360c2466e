"""Lets cloud-init do with user-data what it does on a new machine, in a folder of its own.

    cloud_init.py USER-DATA FOLDER

The user-data comes through the datasource "None", which every cloud-init has. Its parts are handled as in the
first boot, and nothing else is done: no module runs that would change the machine, and the machine's own
configuration is not read. Afterwards the merged cloud-config must fit cloud-init's own schema. What cloud-init
logs goes to standard error.
"""

import logging
import sys

import yaml
from cloudinit import stages, util
from cloudinit.config import schema
from cloudinit.settings import PER_INSTANCE


def main(user_data, folder):
    # cloud-init has handlers of its own by now.
    logging.basicConfig(
        stream=sys.stderr, level=logging.DEBUG, format="%(levelname)s %(name)s: %(message)s", force=True
    )
    with open(user_data, "rb") as file:
        none = {"userdata_raw": file.read(), "metadata": {"instance-id": "i-test"}}
    paths = {"cloud_dir": folder + "/lib", "run_dir": folder + "/run"}

    class Init(stages.Init):
        # Asked again and again, whenever what is known so far is thrown away.
        def _read_cfg(self, *where_else):
            return {
                "datasource_list": ["None"],
                "datasource": {"None": none},
                "system_info": {"distro": "debian", "paths": paths},
            }

    init = Init()
    util.ensure_dirs(init._initial_subdirs())
    init.fetch()
    init.instancify()
    init.update()
    init.consume_data(PER_INSTANCE)
    with open(folder + "/lib/instance/cloud-config.txt", encoding="utf-8") as file:
        config = yaml.safe_load(file)
    schema.validate_cloudconfig_schema(config, strict=True)
    print(config["final_message"])


main(*sys.argv[1:])
