#Requires -Modules C10kServer

<#
.SYNOPSIS
    A health endpoint that exists while a file does: otherwise nothing listens on its port.
.DESCRIPTION
    To a load balancer's TCP check whatever listens is well, also what is suspended or closes at once: so the server is stopped, and
    its port refuses. Writes the server at each change. Ends after -Duration, or when somebody else stops the server.
.EXAMPLE
    ./HealthCheck.ps1 -Path /run/in-service -Address 0.0.0.0 -Port 8081
#>
[CmdletBinding()]
[OutputType('C10kServer.Server')]
param(
    [Parameter(Mandatory)] [string] $Path, [string[]] $Address = '127.0.0.1', [ValidateRange(0, 65535)] [int] $Port = 0,
    [C10kServer.Duration] $Interval = '200ms', [C10kServer.Duration] $Duration = '365d'
)

$file = $PSCmdlet.GetUnresolvedProviderPathFromPSPath($Path)
$clock, $server, $up = [System.Diagnostics.Stopwatch]::StartNew(), $null, $false
try {
    for (; $clock.Elapsed -lt $Duration -and $up -eq ($server.State -eq 'Running'); [System.Threading.Thread]::Sleep($Interval.TimeSpan)) {
        if ([System.IO.File]::Exists($file) -eq $up) { continue }
        $changed = if ($up) { $server | Stop-C10kServer -PassThru } elseif ($server) { $server | Restart-C10kServer -PassThru }
        else { Start-C10kServer -Address $Address -Port $Port -ScriptBlock {} -OnConnect { 'UP'; $Connection.Close() } }
        if ($changed) { $server, $up = $changed, (-not $up); $server }
    }
} finally { if ($server) { $server | Stop-C10kServer } }
