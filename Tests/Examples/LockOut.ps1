#Requires -Modules C10kServer

<#
.SYNOPSIS
    A status service behind a password. After -Limit wrong ones an address is locked out for -LockTime, whatever connections it opens.
.EXAMPLE
    $server = ./LockOut.ps1 -Password (Read-Host -AsSecureString) -Port 7007
#>
[CmdletBinding()]
[OutputType('C10kServer.Server')]
param([Parameter(Mandatory)] [securestring] $Password, [string[]] $Address = '127.0.0.1', [ValidateRange(0, 65535)] [int] $Port = 0,
    [ValidateRange(1, 1000)] [int] $Limit = 3, [C10kServer.Duration] $LockTime = '5m')

$plain = [System.Net.NetworkCredential]::new('', $Password).Password
$digest = [System.Security.Cryptography.SHA256]::HashData([System.Text.Encoding]::UTF8.GetBytes($plain))
$wrong, $most, $pause = @{}, $Limit, $LockTime.TotalMilliseconds
# With one handler thread two guesses are never at the same time, so a plain hashtable will do.
Start-C10kServer -Address $Address -Port $Port -Framing Line -HandlerCount 1 -OnConnect { 'Password?' } -ScriptBlock {
    if ($ConnectionState.Welcome) { return "$($Server.ConnectionCount) connections, up for $($Server.Uptime)" }
    $wrong, $who, $now = $using:wrong, "$($Connection.RemoteAddress)", [System.Environment]::TickCount64
    foreach ($old in @($wrong.Keys)) { if ($wrong[$old].Until -le $now) { $wrong.Remove($old) } }
    if ($wrong[$who].Times -lt $using:most) {
        # Digests of the same length, compared in the same time wherever they differ.
        $guess = [System.Security.Cryptography.SHA256]::HashData([System.Text.Encoding]::UTF8.GetBytes($_))
        $ConnectionState.Welcome = [System.Security.Cryptography.CryptographicOperations]::FixedTimeEquals($guess, $using:digest)
        if ($ConnectionState.Welcome) { $wrong.Remove($who); return 'Welcome' }
        $wrong[$who] = @{ Times = 1 + $wrong[$who].Times; Until = $now + $using:pause }
    }
    if ($wrong[$who].Times -lt $using:most) { 'Wrong' } else { 'Locked out'; $Connection.Close() }
}
