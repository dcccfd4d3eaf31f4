# A load from a shell that is stopped meanwhile, see LoadStandstillTests.cs. It says "ok" at its end, or what is wrong.
param([string] $Manifest, [int] $Port)
$ErrorActionPreference = 'Stop'
trap {
    "$_`n$($_.ScriptStackTrace)"
    exit 1
}

Import-Module $Manifest
. "$PSScriptRoot/Checks.ps1"

# The timeout is shorter than the stop, and long for a machine that is busy.
$load = Invoke-C10kLoad -Port $Port -Connection 50 -Duration 7s -Timeout 2s
Assert ($load.Requests -gt 0) 'no answer came'
Assert ($load.Timeouts -eq 0) "$($load.Timeouts) requests timed out, of $($load.Requests)"
'ok'
