#Requires -Modules C10kServer

<#
.SYNOPSIS
    An upper-case line service: each line goes back in capitals.
.EXAMPLE
    $server = ./Upper.ps1 -Port 7007
#>
[CmdletBinding()]
[OutputType('C10kServer.Server')]
param(
    [string[]] $Address = '127.0.0.1',
    [ValidateRange(0, 65535)] [int] $Port = 0
)

Start-C10kServer -Address $Address -Port $Port -Framing Line -ScriptBlock { $_.ToUpperInvariant() }
