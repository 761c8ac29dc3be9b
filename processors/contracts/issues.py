"""The issue codes of Webex devices: how bad each is for a meeting, what it is called, and what to do about it.

The device list gives codes without a severity, so we grade them. Critical: people can't run a meeting in the room. Warning:
they soon can't, or it will be a poor one. Info: for those who configure devices. The codes are those of Webex's help page on
device alerts (nvsge9y) in 2026; names and steps are in our words. The list grows with every RoomOS release: a code that isn't
here is ungraded and shown as Webex gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from processors.contracts.signals import signal_of

Grade = Literal["critical", "warning", "info"]
GRADES: tuple[Grade, ...] = ("critical", "warning", "info")
"""From the worst on."""


@dataclass(frozen=True)
class Issue:
    """An issue code: its grade, its name for people, and the next step where there is one to take."""

    code: str
    grade: Grade
    name: str
    step: str = ""


_CONTROL_HUB = "See the device in Control Hub, and"
_ROOM = "Go to the room:"
_NETWORK = "Ask the network team:"

ISSUES: tuple[Issue, ...] = (
    # ---- critical
    Issue("accountmissing", "critical", "no account", f"{_CONTROL_HUB} activate it anew with a code for its workspace."),
    Issue(
        "amplifierdetection",
        "critical",
        "amplifier not found",
        f"{_ROOM} check the amplifier's power and its cable to the device.",
    ),
    Issue(
        "microphonesconnected", "critical", "no microphone", f"{_ROOM} plug the microphones in again, and look at cable and mute."
    ),
    Issue(
        "camerapairing", "critical", "camera not paired", f"{_ROOM} check the camera's power, HDMI and Ethernet, then restart it."
    ),
    Issue("missingdisplay", "critical", "display missing", f"{_ROOM} switch the display on, check its HDMI cable and its input."),
    Issue("osdvideooutput", "critical", "no video output", f"{_ROOM} connect a display to the output that shows the menus."),
    Issue(
        "touchpanelconnection",
        "critical",
        "touch panel lost",
        f"{_ROOM} check the panel's cable (PoE) and network, then pair it again.",
    ),
    Issue(
        "controlsystemconnection", "critical", "control system lost", f"{_ROOM} check power and network of the control system."
    ),
    Issue(
        "mediablockingdetected",
        "critical",
        "media blocked",
        f"{_NETWORK} open the UDP ports of Webex media (5004, 9000) to this device.",
    ),
    Issue(
        "sipprofileregistration",
        "critical",
        "SIP registration failed",
        "Check the SIP registrar, and the device's user name and password.",
    ),
    Issue(
        "wxcsipconnection", "critical", "no SIP connection", f"{_NETWORK} let the device reach Webex Calling, then restart it."
    ),
    Issue(
        "wxcwebexconnection",
        "critical",
        "no Webex connection",
        f"{_NETWORK} let the device reach Webex over HTTPS, and check DNS and proxy.",
    ),
    Issue("temperaturecheck", "critical", "too hot", f"{_ROOM} free the device's vents and cool the room or rack."),
    # ---- warning
    Issue(
        "amplifierfanstatus",
        "warning",
        "amplifier fan failing",
        f"{_ROOM} clean the amplifier's fan; have it replaced if it stands still.",
    ),
    Issue(
        "certificateexpiry", "warning", "certificate expires", "Install a new certificate on the device before the old one ends."
    ),
    Issue("currentnetworkquality", "warning", "poor network", f"{_NETWORK} look for loss and jitter on the device's port."),
    Issue(
        "firsttimewizardnotcompleted", "warning", "setup not finished", f"{_ROOM} finish the first-time setup on the touch panel."
    ),
    Issue("macrosprovisioningstatus", "warning", "macros not provisioned", f"{_CONTROL_HUB} push its macros again."),
    Issue(
        "macrosruntimehashadcrash",
        "warning",
        "macros crashed",
        "Read the macro log of the device, and restart its macro runtime.",
    ),
    Issue(
        "macrosruntimeresponsiveness",
        "warning",
        "macros not responding",
        "Find the macro that is busy in the device's log; switch it off.",
    ),
    Issue(
        "mediaprotocol", "warning", "media protocol not supported", "Let the device use UDP for media in its network settings."
    ),
    Issue("microphoneoverloaded", "warning", "microphone overloaded", f"{_ROOM} lower the input gain of the microphone."),
    Issue("missingthirddisplay", "warning", "third display missing", f"{_ROOM} switch the third display on and check its cable."),
    Issue("networkquality", "warning", "poor network", f"{_NETWORK} look for loss and jitter on the device's port."),
    Issue("ntpstatus", "warning", "clock not in sync", f"{_NETWORK} let the device reach its time server (UDP 123)."),
    Issue("provisioningmodeandstatus", "warning", "not provisioned", "Check the provisioning mode of the device and its server."),
    Issue("provisioningstatus", "warning", "not provisioned", "Check the provisioning mode of the device and its server."),
    Issue(
        "roomschedulingconfiguration",
        "warning",
        "room scheduling not set up",
        f"{_CONTROL_HUB} link its workspace to a calendar.",
    ),
    Issue("softwareoutofdate", "warning", "firmware out of date", f"{_CONTROL_HUB} let it upgrade."),
    Issue(
        "softwareupgradekeepsfailing",
        "warning",
        "firmware upgrade keeps failing",
        "Restart the device and let it reach Webex's downloads.",
    ),
    Issue(
        "soontobedeactivated",
        "warning",
        "soon to be deactivated",
        f"{_CONTROL_HUB} bring it online, or it has to be activated anew.",
    ),
    Issue("stylusbattery", "warning", "stylus battery low", f"{_ROOM} charge the stylus."),
    Issue(
        "tcpmediafallback", "warning", "media falls back to TCP", f"{_NETWORK} open the UDP ports of Webex media (5004, 9000)."
    ),
    Issue(
        "thousandeyesstatus",
        "warning",
        "ThousandEyes agent failing",
        "Check the account group of the device's ThousandEyes agent.",
    ),
    Issue(
        "webexmustupgradecesoftware",
        "warning",
        "firmware too old for Webex",
        f"{_CONTROL_HUB} upgrade it now: Webex will refuse it.",
    ),
    # ---- info
    Issue("airplaybeacon", "info", "AirPlay beacon off"),
    Issue("airplayconfiguration", "info", "AirPlay settings conflict"),
    Issue("airplayprovisioning", "info", "AirPlay not provisioned"),
    Issue("airplayprovisioningcertificates", "info", "AirPlay certificates missing"),
    Issue("anatonvcs", "info", "ANAT on with a VCS"),
    Issue("audiointernalspeakerdisabled", "info", "internal speaker off"),
    Issue("audiopairinginterference", "info", "ultrasound pairing disturbed"),
    Issue("audiopairingnoise", "info", "too noisy for ultrasound pairing"),
    Issue("audiopairingrate", "info", "ultrasound pairing slow"),
    Issue("audiopairingsnr", "info", "ultrasound pairing too quiet"),
    Issue("audiopairingtokendecode", "info", "ultrasound pairing not understood"),
    Issue("callprotocolipstackplatformcompatibility", "info", "IP version does not fit the platform"),
    Issue("callprotocolvcsprovisioningcompatibility", "info", "IP version does not fit the provisioning"),
    Issue("capfoperationstate", "info", "certificate enrolment (CAPF) pending"),
    Issue("capsetfilterconfiguration", "info", "capability filter set"),
    Issue("companionmodeincompatibilitylocal", "info", "companion mode does not fit this device"),
    Issue("companionmodeincompatibilityremote", "info", "companion mode does not fit the other device"),
    Issue("configurationfile", "info", "configuration file faulty"),
    Issue("configuredfortestautomation", "info", "set up for test automation"),
    Issue("ctlinstallation", "info", "certificate trust list missing"),
    Issue("cucmandcloudconfigurability", "info", "settings from CUCM and cloud conflict"),
    Issue("cucmvendorconfigurationfile", "info", "CUCM configuration file faulty"),
    Issue("defaultcallprotocolregistered", "info", "default call protocol not registered"),
    Issue("ecreferencedelay", "info", "echo cancelling: delay of the display"),
    Issue("embeddedwebviewfailedtoload", "info", "web view failed to load"),
    Issue("embeddedwebviewterminatedunexpectedly", "info", "web view crashed"),
    Issue("h320gatewaystatus", "info", "H.320 gateway failing"),
    Issue("h323gatekeeperstatus", "info", "H.323 gatekeeper failing"),
    Issue("hdmicecmodenosound", "info", "HDMI-CEC may mute the sound"),
    Issue("internalxapiaccessdenied", "info", "internal xAPI: access denied"),
    Issue("internalxapiusage", "info", "internal xAPI used"),
    Issue("invalidsiptransportconfig", "info", "SIP transport not valid"),
    Issue("isdnlinkipstack", "info", "ISDN Link: IP version does not fit"),
    Issue("itlinstallation", "info", "identity trust list missing"),
    Issue("macroserrorlogged", "info", "a macro logged an error"),
    Issue("microphonereinforcement", "info", "microphone reinforcement misconfigured"),
    Issue("missingencryptionkey", "info", "encryption key missing"),
    Issue("monitordelay", "info", "display too slow for lip sync"),
    Issue("networkswitchconfiguration", "info", "switch port misconfigured"),
    Issue("provisioningdeveloperoptions", "info", "developer options on"),
    Issue("provmodewebexandwebexedgeenabled", "info", "provisioned by Webex and Webex Edge at once"),
    Issue("signagebadvideoformatalert", "info", "signage: video format not supported"),
    Issue("signagefailedtoload", "info", "signage failed to load"),
    Issue("signageterminatedunexpectedly", "info", "signage crashed"),
    Issue("sipencryption", "info", "SIP not encrypted"),
    Issue("sipiceandanatconflict", "info", "SIP: ICE and ANAT conflict"),
    Issue("siplistenportandregistration", "info", "SIP: listening port off while registered"),
    Issue("siporh323butnotbothenabled", "info", "SIP and H.323 conflict"),
    Issue("sipprofiletype", "info", "SIP profile type does not fit"),
    Issue("softwareupgradeavailability", "info", "firmware upgrade available"),
    Issue("softwareupgradecompatibility", "info", "firmware upgrade does not fit"),
    Issue("tlsverifyrequiredcerts", "info", "certificates for TLS missing"),
    Issue("ultrasoundconfigsettings", "info", "ultrasound settings"),
    Issue("ultrasoundspeakeravailability", "info", "no speaker for ultrasound"),
    Issue("validpasswords", "info", "password not set"),
    Issue("webexaccountpluswebexedgeenabled", "info", "Webex account and Webex Edge at once"),
    Issue("webexedgeaccountplusprovmodewebex", "info", "Webex Edge and Webex provisioning at once"),
    Issue("webexshouldupgradecesoftware", "info", "firmware should be upgraded"),
    Issue("webexsoftwareupdateavailable", "info", "firmware update available"),
    Issue("webrtccalling", "info", "WebRTC calling not available"),
)
OF_CODE: dict[str, Issue] = {issue.code: issue for issue in ISSUES}
"""The issues by their codes."""
SEPARATOR = ", "
"""What stands between the codes in the `text` of a signal."""


def codes_of(signal: str, text: str | None) -> list[str]:
    """The issue codes that the `text` of an alert about this signal names; none where the signal is not about issues."""
    declared = signal_of(signal)
    return text.split(SEPARATOR) if text and declared and declared.names_issues else []


def of_grade(grade: Grade) -> frozenset[str]:
    """The codes of a grade."""
    return frozenset(issue.code for issue in ISSUES if issue.grade == grade)
