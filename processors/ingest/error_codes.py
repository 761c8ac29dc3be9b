"""How bad each Webex device issue code is for a meeting.

The device list gives codes without a severity, so we grade them. Critical: people can't run a meeting in the room. Warning:
they soon can't, or it will be a poor one. Info: for those who configure devices. The codes are those of Webex's help page on
device alerts (nvsge9y) in 2026. The list grows with every RoomOS release: a code that isn't here is ungraded and passes through.
"""

from __future__ import annotations

from typing import Literal

Grade = Literal["critical", "warning", "info"]


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


CRITICAL = _codes(
    """
    accountmissing amplifierdetection microphonesconnected camerapairing missingdisplay osdvideooutput touchpanelconnection
    controlsystemconnection mediablockingdetected sipprofileregistration wxcsipconnection wxcwebexconnection temperaturecheck
    """
)

WARNING = _codes(
    """
    amplifierfanstatus certificateexpiry currentnetworkquality firsttimewizardnotcompleted macrosprovisioningstatus
    macrosruntimehashadcrash macrosruntimeresponsiveness mediaprotocol microphoneoverloaded missingthirddisplay networkquality
    ntpstatus provisioningmodeandstatus provisioningstatus roomschedulingconfiguration softwareoutofdate
    softwareupgradekeepsfailing soontobedeactivated stylusbattery tcpmediafallback thousandeyesstatus webexmustupgradecesoftware
    """
)

INFO = _codes(
    """
    airplaybeacon airplayconfiguration airplayprovisioning airplayprovisioningcertificates anatonvcs audiointernalspeakerdisabled
    audiopairinginterference audiopairingnoise audiopairingrate audiopairingsnr audiopairingtokendecode
    callprotocolipstackplatformcompatibility callprotocolvcsprovisioningcompatibility capfoperationstate capsetfilterconfiguration
    companionmodeincompatibilitylocal companionmodeincompatibilityremote configurationfile configuredfortestautomation
    ctlinstallation cucmandcloudconfigurability cucmvendorconfigurationfile defaultcallprotocolregistered ecreferencedelay
    embeddedwebviewfailedtoload embeddedwebviewterminatedunexpectedly h320gatewaystatus h323gatekeeperstatus hdmicecmodenosound
    internalxapiaccessdenied internalxapiusage invalidsiptransportconfig isdnlinkipstack itlinstallation macroserrorlogged
    microphonereinforcement missingencryptionkey monitordelay networkswitchconfiguration provisioningdeveloperoptions
    provmodewebexandwebexedgeenabled signagebadvideoformatalert signagefailedtoload signageterminatedunexpectedly sipencryption
    sipiceandanatconflict siplistenportandregistration siporh323butnotbothenabled sipprofiletype softwareupgradeavailability
    softwareupgradecompatibility tlsverifyrequiredcerts ultrasoundconfigsettings ultrasoundspeakeravailability validpasswords
    webexaccountpluswebexedgeenabled webexedgeaccountplusprovmodewebex webexshouldupgradecesoftware webexsoftwareupdateavailable
    webrtccalling
    """
)


PERIPHERAL = _codes("touchpanelconnection camerapairing microphonesconnected")
"""A touch panel, a camera or the microphones are lost."""

DISPLAY = _codes("missingdisplay missingthirddisplay osdvideooutput")
"""A display is lost, or sleeps: devices report that too while a display wakes up."""


def grade_of(code: str) -> Grade | None:
    """The grade of an issue code, None when it is ungraded."""
    if code in CRITICAL:
        return "critical"
    if code in WARNING:
        return "warning"
    return "info" if code in INFO else None


def critical_codes(codes: tuple[str, ...]) -> list[str]:
    """Those of `codes` that keep people from running a meeting."""
    return [code for code in codes if code in CRITICAL]


def warning_codes(codes: tuple[str, ...]) -> list[str]:
    """Those of `codes` that make for a poor meeting, or will soon."""
    return [code for code in codes if code in WARNING]
