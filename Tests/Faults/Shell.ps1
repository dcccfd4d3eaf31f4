# The module in a shell of its own, to which something befalls that would end a process or leave half of a server behind. Each case prints
# "ok" at its end, or says what is wrong and ends with 1.
param([string] $Manifest, [string] $Case, [string] $Shim)
$ErrorActionPreference = 'Stop'
trap {
    "$_`n$($_.ScriptStackTrace)"
    exit 1
}

Import-Module $Manifest
Add-Type @"
using System;
using System.Runtime.InteropServices;
public static class Threads {
    [DllImport("$Shim", EntryPoint = "threads_allow")]
    public static extern void Allow(int count);
}
public class Unspeakable : Exception {
    public override string Message { get { throw new InvalidOperationException("Message"); } }
    public override string ToString() { throw new InvalidOperationException("ToString"); }
    public override string StackTrace { get { throw new InvalidOperationException("StackTrace"); } }
    public static void Throw() { throw new Unspeakable(); }
    public static EventHandler<T> Handler<T>() { return (sender, e) => throw new Unspeakable(); }
}
"@

. "$PSScriptRoot/Checks.ps1"

function Test-Echo([int] $Port) {
    $client = [Net.Sockets.TcpClient]::new('127.0.0.1', $Port)
    $client.ReceiveTimeout = 60000
    $client.GetStream().WriteByte(65)
    $client.GetStream().WriteByte(10)
    Assert ($client.GetStream().ReadByte() -eq 65) 'no echo'
    $client
}

# Lets an act fail for want of its first thread, its second, and so on, until it has all it wants. Returns how often it failed.
function Invoke-WithoutThread([scriptblock] $Act, [scriptblock] $Check) {
    for ($allowed = 0; ; $allowed++) {
        Assert ($allowed -lt 50) 'it never has enough threads'
        $failure = $null
        [Threads]::Allow($allowed)
        try { & $Act } catch { $failure = $_ } finally { [Threads]::Allow(-1) }
        if ($null -eq $failure) { return $allowed }
        Assert ($failure.FullyQualifiedErrorId -like 'ThreadLimit,*') "with $allowed threads: $($failure.FullyQualifiedErrorId): $failure"
        Assert ($failure.CategoryInfo.Category -eq 'LimitsExceeded') "$($failure.CategoryInfo)"
        Assert ("$failure" -match 'ulimit -u.*pids\.max') "$failure"
        & $Check
    }
}

# Once, so that what the process opens once is open.
(Test-Echo (Start-C10kServer -Name warm).Port).Dispose()
Stop-C10kServer warm
$base = Get-Ledger

function Test-Start([hashtable] $With, [int] $Threads) {
    $listener = [Net.Sockets.TcpListener]::new([Net.IPAddress]::Loopback, 0)
    $listener.Start()
    $port = $listener.LocalEndpoint.Port
    $listener.Stop()
    $failed = Invoke-WithoutThread { $null = Start-C10kServer -Name s -Port $port @With } {
        Wait-For { (Get-Ledger) -eq $base } "left after a start: $(Get-Ledger), before: $base"
        Assert ($null -eq (Get-C10kServer)) 'a server is left in the list'
        try { [Net.Sockets.TcpClient]::new('127.0.0.1', $port).Dispose(); $open = $true } catch { $open = $false }
        Assert (-not $open) 'a port without an owner listens'
    }
    Assert ($failed -eq $Threads) "$failed starts failed, and not $Threads"
    (Test-Echo $port).Dispose()
    Stop-C10kServer s
    Wait-For { (Get-Ledger) -eq $base } "left after the stop: $(Get-Ledger), before: $base"
}

switch ($Case) {
    StartWithoutThreads {
        Test-Start @{ WorkerCount = 3; LogPath = "$([IO.Path]::GetTempPath())/c10k-$PID.log" } 5
        Test-Start @{ WorkerCount = 1 } 2
        Test-Start @{ WorkerCount = 2; Dispatch = 'ReusePort' } 3
    }
    StartOfHandlersWithoutThreads {
        Test-Start @{ WorkerCount = 1; HandlerCount = 2; Framing = 'Line'; ScriptBlock = { $_ } } 5
    }
    ResizeWithoutThreads {
        foreach ($dispatch in 'RoundRobin', 'ReusePort') {
            $server = Start-C10kServer -Name s -WorkerCount 2 -Dispatch $dispatch
            $clients = 1..8 | ForEach-Object { Test-Echo $server.Port }
            $before = Get-Ledger
            $failed = Invoke-WithoutThread { $server | Set-C10kServer -WorkerCount 5 } {
                Wait-For { (Get-Ledger) -eq $before } "left after a resize: $(Get-Ledger), before: $before"
                Assert ($server.WorkerCount -eq 2 -and @($server.Workers).Count -eq 2) 'the resize was done by half'
                Assert ($server.State -eq 'Running') "it is $($server.State)"
                (Test-Echo $server.Port).Dispose()
            }
            Assert ($failed -eq 3) "$failed resizes failed, and not 3"
            Assert (@($server.Workers).Count -eq 5) 'the resize was not done'
            foreach ($client in $clients) {
                $client.GetStream().WriteByte(66)
                Assert ($client.GetStream().ReadByte() -eq 10) 'a connection was lost'
                $client.Dispose()
            }
            $server | Stop-C10kServer
            Wait-For { (Get-Ledger) -eq $base } "left after the stop: $(Get-Ledger), before: $base"
        }
    }
    SubscribeWithoutThreads {
        $server = Start-C10kServer -Name s -WorkerCount 1
        $before = Get-Ledger
        [Threads]::Allow(0)
        try { $server.add_ConnectionOpened([Unspeakable]::Handler[C10kServer.ConnectionEventArgs]()); $failure = $null } catch { $failure = $_ } finally { [Threads]::Allow(-1) }
        Assert ("$failure" -match 'no further thread') "the subscription: $failure"
        (Test-Echo $server.Port).Dispose()
        Wait-For { (Get-Ledger) -eq $before } "left after a subscription: $(Get-Ledger), before: $before"
        $server | Stop-C10kServer
        Assert ($server.EventErrors -eq 0) 'a subscriber that was refused is told'
    }
    StopWithoutThreads {
        $server = Start-C10kServer -Name s -WorkerCount 1 -HandlerCount 2 -Framing Line -ScriptBlock { 'in'; $Connection.SendText("A`n"); [Threading.Thread]::Sleep(4000) }
        $client = Test-Echo $server.Port
        [Threads]::Allow(0)
        try { $server | Stop-C10kServer; $failure = $null } catch { $failure = $_ } finally { [Threads]::Allow(-1) }
        Assert ($server.State -eq 'Stopped') "it is $($server.State)"
        Assert ($null -eq (Get-C10kServer)) "a stopped server is left in the list: $failure"
        Assert ($null -eq $failure) "the stop has failed: $failure"
        $client.Dispose()
        (Test-Echo (Start-C10kServer -Name s).Port).Dispose()
        Stop-C10kServer s
        Wait-For { (Get-Ledger) -eq $base } "left after the stop: $(Get-Ledger), before: $base"
    }
    LoadWithoutThreads {
        $server = Start-C10kServer -Name s -WorkerCount 1
        $before = Get-Ledger
        $failed = Invoke-WithoutThread { $null = Invoke-C10kLoad -InputObject $server -Connection 2 -Count 10 } {
            Wait-For { (Get-Ledger) -eq $before } "left after a load: $(Get-Ledger), before: $before"
        }
        Assert ($failed -eq 1) "$failed loads failed, and not 1"
        $server | Stop-C10kServer
    }
    UnspeakableExceptions {
        $server = Start-C10kServer -Name s -WorkerCount 1 -HandlerCount 1 -Framing Line -OnClose { [Unspeakable]::Throw() } -ScriptBlock {
            if ($_ -eq 'error') { Write-Error -Exception ([Unspeakable]::new()) -Message x -ErrorAction Continue }
            if ($_ -eq 'output') { [Unspeakable]::new() }
            if ($_ -eq 'information') { Write-Information ([Unspeakable]::new()) }
            if ($_ -eq 'throw') { throw [Unspeakable]::new() }
            if ($_ -eq 'call') { [Unspeakable]::Throw() }
            $_
        }
        $server.add_ConnectionOpened([Unspeakable]::Handler[C10kServer.ConnectionEventArgs]())
        $server.add_StateChanged([Unspeakable]::Handler[C10kServer.ServerStateEventArgs]())
        foreach ($word in 'error', 'output', 'information', 'throw', 'call') {
            $client = [Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
            $client.GetStream().Write([Text.Encoding]::ASCII.GetBytes("$word`n"))
            $client.ReceiveTimeout = 60000
            $null = $client.GetStream().ReadByte()
            $client.Dispose()
            (Test-Echo $server.Port).Dispose()
        }
        Wait-For { $server.EventErrors -ge 10 } 'the subscriber is told of each connection'
        Assert ($server.State -eq 'Running') "it is $($server.State)"
        $server | Stop-C10kServer
        Wait-For { (Get-Ledger) -eq $base } "left after the stop: $(Get-Ledger), before: $base"
    }
    default { throw "there is no case $Case" }
}
'ok'
