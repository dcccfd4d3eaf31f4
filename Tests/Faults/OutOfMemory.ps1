# A server in a shell of little memory, see OutOfMemoryTests.cs. It prints its port and waits for a line while clients use the memory up. The shell does
# nothing meanwhile, because its own commands need memory, too. When these clients are gone it prints how many connections are left, and waits
# for another line. At the end it says "ok", or what is wrong.
param([string] $Manifest, [int] $Workers)
$ErrorActionPreference = 'Stop'
trap {
    "$_`n$($_.ScriptStackTrace)"
    exit 1
}

Import-Module $Manifest

. "$PSScriptRoot/Checks.ps1"

# Once beforehand, so that the ledger knows what the process keeps.
Start-C10kServer -Name warm -Protocol Echo -Port 0 | Stop-C10kServer
$before = Get-Ledger
$server = Start-C10kServer -Name memory -Framing Line -MaxMessage 4MB -Port 0 -Workers $Workers -ScriptBlock { $_ }
[Console]::Out.WriteLine($server.Port)
$null = [Console]::In.ReadLine()

Wait-For { $server.ConnectionCount -le 1 } 'the end of all connections but one'
[Console]::Out.WriteLine($server.ConnectionCount)
$null = [Console]::In.ReadLine()

Assert ($server.State -eq 'Running') "the server is $($server.State): $($server.LastError)"
$records = @(Get-C10kLog -Server memory)
Assert (@($records -match 'memory ran out').Count -gt 0) "the log does not say it: $($records | Out-String)"
$reasons = Get-C10kConnection -Server memory -Closed | Group-Object CloseReason
Assert ('Aborted' -in $reasons.Name) "no connection was reset for want of memory: $($reasons | Out-String)"
Stop-C10kServer -Name memory
Assert ((Get-C10kServer).Count -eq 0) 'the stopped server is still in the list'
Assert ($server.State -eq 'Stopped') "the server is $($server.State): $($server.LastError)"
Assert ($server.Accepted -eq $server.Closed) "$($server.Accepted) accepted and $($server.Closed) closed"
Wait-For { (Get-Ledger) -eq $before } "$before; but $(Get-Ledger)"
'ok'
