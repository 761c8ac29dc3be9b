"""What the simulated estate is made of: products with their shares and sensors, device issue codes with their weights.

Product names, sensors and issue codes are those of Cisco's documentation; shares and weights are judgement, because Cisco
publishes none. Air quality (tvoc) comes from a Room Navigator only.
"""

from __future__ import annotations

from typing import NamedTuple


class Product(NamedTuple):
    """A product: its share of all devices, the kind of workspace it makes (None: it joins or needs no room), its sensors.

    `seats` is the range of the workspace's capacity; `personal` the share that belongs to a person instead of a workspace.
    """

    name: str
    type: str
    share: float
    room: str | None = None
    seats: tuple[int, int] = (0, 0)
    sensors: frozenset[str] = frozenset()
    personal: float = 0.0


_COUNT = frozenset({"peopleCount", "presence"})
_SOUND = frozenset({"ambientNoise", "soundLevel"})
_CLIMATE = frozenset({"temperature", "humidity"})

PRODUCTS = (
    Product("Cisco Room Bar", "roomdesk", 0.16, "huddle", (4, 8), _COUNT | _SOUND),
    Product("Cisco Room Bar Pro", "roomdesk", 0.08, "meetingRoom", (6, 12), _COUNT | _SOUND),
    Product("Cisco Room Kit EQ", "roomdesk", 0.08, "meetingRoom", (10, 24), _COUNT | _SOUND),
    Product("Cisco Webex Room Kit", "roomdesk", 0.10, "meetingRoom", (6, 10), _COUNT | _SOUND),
    Product("Cisco Webex Room Kit Mini", "roomdesk", 0.06, "huddle", (3, 5), _COUNT),
    Product("Cisco Board Pro 55", "roomdesk", 0.07, "open", (4, 10), _COUNT | _SOUND | _CLIMATE),
    Product("Cisco Board Pro 75", "roomdesk", 0.03, "meetingRoom", (10, 20), _COUNT | _SOUND | _CLIMATE),
    Product("Cisco Desk Pro", "roomdesk", 0.06, "desk", (1, 1), _SOUND | {"presence"}),
    Product("Cisco Desk Mini", "roomdesk", 0.04, "desk", (1, 1), frozenset({"presence"}), personal=0.6),
    Product("Cisco Room Navigator", "accessory", 0.20, sensors=_CLIMATE | {"tvoc"}),
    Product("Cisco 9851", "phone", 0.12),
)

CAPABILITY_SENSORS = {
    "occupancyDetection": "peopleCount",
    "presenceDetection": "presence",
    "ambientNoise": "ambientNoise",
    "soundLevel": "soundLevel",
    "temperature": "temperature",
    "airQuality": "tvoc",
    "relativeHumidity": "humidity",
}
"""Workspace capability -> the sensor it needs."""

METRICS = ("soundLevel", "ambientNoise", "temperature", "humidity", "tvoc", "peopleCount")
"""Metric names of /workspaceMetrics; each is also the name of the sensor that measures it."""

_COMMON_ISSUES = {
    "MissingDisplay": 14, "networkquality": 12, "TouchPanelConnection": 10, "MicrophonesConnected": 8,
    "UltrasoundConfigSettings": 7, "OSDVideoOutput": 6, "softwareoutofdate": 6, "CurrentNetworkQuality": 5,
    "macroserrorlogged": 5, "AudioPairingInterference": 4, "CameraPairing": 4, "TCPMediaFallback": 4,
    "ControlSystemConnection": 3, "ECReferenceDelay": 3, "MissingThirdDisplay": 3, "NTPStatus": 3, "SignageFailedToLoad": 3,
    "SoftwareUpgradeKeepsFailing": 3, "CertificateExpiry": 2, "HdmiCecModeNoSound": 2, "RoomSchedulingConfiguration": 2,
    "SIPProfileRegistration": 2, "StylusBattery": 2, "ValidPasswords": 2, "AmplifierDetection": 1,
    "MacrosRuntimeHasHadCrash": 1, "MediaBlockingDetected": 1, "TemperatureCheck": 1,
}  # fmt: skip
_RARE_ISSUES = (
    "accountmissing", "AirPlayBeacon", "airplayconfiguration", "AirPlayProvisioning", "AirPlayProvisioningCertificates",
    "AmplifierFanStatus", "AudioInternalSpeakerDisabled", "AudioPairingNoise", "AudioPairingRate", "AudioPairingSNR",
    "AudioPairingTokenDecode", "MicrophoneOverloaded", "microphonereinforcement",
    "CallProtocolIPStackPlatformCompatibility", "CallProtocolVcsProvisioningCompatibility", "DefaultCallProtocolRegistered",
    "InvalidSIPTransportConfig", "SIPEncryption", "SipIceAndAnatConflict", "SIPListenPortAndRegistration",
    "SipOrH323ButNotBothEnabled", "SIPProfileType", "wxcsipconnection", "wxcwebexconnection", "WebRTCCalling",
    "CompanionModeIncompatibilityLocal", "CompanionModeIncompatibilityRemote", "configuredfortestautomation",
    "CUCMAndCloudConfigurability", "CUCMVendorConfigurationFile", "MonitorDelay", "MacrosProvisioningStatus",
    "MacrosRuntimeResponsiveness", "mediaprotocol", "h320gatewaystatus", "H323GatekeeperStatus", "isdnlinkipstack",
    "ITLinstallation", "networkswitchconfiguration", "ThousandEyesStatus", "TLSVerifyRequiredCerts", "ANATOnVCS",
    "CAPFOperationState", "CapsetFilterConfiguration", "CTLinstallation", "ProvisioningDeveloperOptions",
    "ProvisioningModeAndStatus", "ProvisioningStatus", "signagebadvideoformatalert", "SignageTerminatedUnexpectedly",
    "SoftwareUpgradeAvailability", "SoftwareUpgradeCompatibility", "webexsoftwareupdateavailable", "ConfigurationFile",
    "FirstTimeWizardNotCompleted", "soontobedeactivated", "missingencryptionkey", "UltrasoundSpeakerAvailability",
    "EmbeddedWebViewFailedToLoad", "EmbeddedWebViewTerminatedUnexpectedly", "ProvModeWebexAndWebexEdgeEnabled",
    "WebexAccountPlusWebexEdgeEnabled", "WebexEdgeAccountPlusProvModeWebex", "WebexMustUpgradeCeSoftware",
    "WebexShouldUpgradeCeSoftware", "InternalXapiAccessDenied", "InternalXapiUsage",
)  # fmt: skip
_RARE_WEIGHT = 0.3

DIAGNOSTICS_TYPES = {name.lower(): name for name in (*_COMMON_ISSUES, *_RARE_ISSUES)}
"""Issue code -> its RoomOS Diagnostics type (the code itself where the cloud and not the device finds the issue)."""

ISSUE_WEIGHTS = tuple(
    [(name.lower(), float(weight)) for name, weight in _COMMON_ISSUES.items()]
    + [(name.lower(), _RARE_WEIGHT) for name in _RARE_ISSUES]
)
"""Every issue code with how often it occurs, relative to the others."""

LOST_PERIPHERAL_CODES = ("touchpanelconnection", "microphonesconnected", "missingdisplay", "camerapairing")
"""What a device reports when a peripheral is gone: the room is hardly usable."""
SLEEPY_DISPLAY_CODES = ("missingdisplay", "osdvideooutput")
"""What a device reports for a moment when a display wakes up slowly: a false alarm."""
