"""Objects of the Gateway API as what Istio makes of them: Gateways of its own with one server each, and VirtualServices.

Pure. :mod:`listeners` converts Gateways, :mod:`parents` says where routes attach, :mod:`http_rules` and :mod:`backends`
convert their rules, :mod:`routes` puts these together; :mod:`gateway_status` and :mod:`route_status` say what
becomes of them. The model is istiod 1.31 (``pilot/pkg/config/kube/gateway``).
"""

from mesh_control.gateway_api.conversion import convert
from mesh_control.gateway_api.converted import AttachedRules, Converted, ListenerGateway, Surroundings

__all__ = ["AttachedRules", "Converted", "ListenerGateway", "Surroundings", "convert"]
