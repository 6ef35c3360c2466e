"""Both sides of certificate_transfer on the reference library, with the test surface of the contract, section 7."""
import hashlib
import json

import ops
from charmlibs.interfaces import certificate_transfer as transfer


class Provider(ops.CharmBase):
    def __init__(self, *args):
        super().__init__(*args)
        self.trust = transfer.CertificateTransferProvides(self, "send-ca-cert")
        self.framework.observe(self.on.add_certificates_action, self._add)
        self.framework.observe(self.on.remove_certificate_action, self._remove)
        self.framework.observe(self.on.remove_all_certificates_action, self._remove_all)

    def _add(self, event):
        self.trust.add_certificates(set(json.loads(event.params["certificates"])), event.params.get("relation-id"))

    def _remove(self, event):
        self.trust.remove_certificate(event.params["certificate"], event.params.get("relation-id"))

    def _remove_all(self, event):
        self.trust.remove_all_certificates(event.params.get("relation-id"))


class Requirer(ops.CharmBase):
    def __init__(self, *args):
        super().__init__(*args)
        self.trust = transfer.CertificateTransferRequires(self, "receive-ca-cert")
        self.framework.observe(self.trust.on.certificate_set_updated, self._updated)
        self.framework.observe(self.trust.on.certificates_removed, self._gone)
        self.framework.observe(self.on.get_all_certificates_action, self._show)

    def _updated(self, event):
        fingerprints = sorted(hashlib.sha256(text.encode()).hexdigest() for text in event.certificates)
        self._tell({"event": "certificate_set_updated", "relation_id": event.relation_id, "fingerprints": fingerprints})

    def _gone(self, event):
        self._tell({"event": "certificates_removed", "relation_id": event.relation_id})

    def _show(self, event):
        event.set_results({"certificates": json.dumps(sorted(self.trust.get_all_certificates()))})

    def _tell(self, event):
        ops.model.logging.getLogger("charm").info("CT-EVENT %s", json.dumps(event))


if __name__ == "__main__":
    import pathlib

    import yaml

    metadata = yaml.safe_load(pathlib.Path("metadata.yaml").read_text())
    ops.main(Provider if "provides" in metadata else Requirer)
