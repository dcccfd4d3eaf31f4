# Handler threads: how many, on what, with which modules; how servers of scripts begin and end in a shell; and many messages.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    $manifest = "$root/C10kServer.psd1"
    Import-Module $manifest
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/../Host/TestShell.psm1"
    Import-Module "$PSScriptRoot/../Clients/Talk.psm1"

    function Add-TestModule($Name, $Text) {
        $null = [System.IO.Directory]::CreateDirectory("$TestDrive/$Name")
        [System.IO.File]::WriteAllText("$TestDrive/$Name/$Name.psm1", $Text)
        "$TestDrive/$Name"
    }

    $base = Get-ProcessLedger
}

Describe 'Handler threads' {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'are as many as -HandlerCount says, each with a runspace of its own' {
        $seen = [System.Collections.Concurrent.ConcurrentDictionary[string, string]]::new()
        $gate = [System.Threading.Barrier]::new(5)
        $server = Start-C10kServer -Framing Line -HandlerCount 5 -ScriptBlock {
            # They are all in here at a time.
            $null = ($using:gate).SignalAndWait(10000)
            ($using:seen)["$([runspace]::DefaultRunspace.InstanceId)"] = "$([System.Threading.Thread]::CurrentThread.ManagedThreadId)"
            'done'
        }
        foreach ($time in 1..3) {
            $talks = @(1..5 | ForEach-Object { Open-Talk $server })
            foreach ($talk in $talks) { Send-Talk $talk "x`n" }
            foreach ($talk in $talks) { Read-Talk $talk -Line | Should -Be done }
        }

        $seen.Count | Should -Be 5
        [System.Collections.Generic.HashSet[string]]::new([string[]]@($seen.Values)).Count | Should -Be 5
        $seen.ContainsKey("$([runspace]::DefaultRunspace.InstanceId)") | Should -BeFalse
        $gate.Dispose()
    }

    It 'hold up nobody but their own connection while one blocks' {
        $gate = [System.Threading.ManualResetEventSlim]::new()
        $server = Start-C10kServer -Framing Line -HandlerCount 2 -ScriptBlock { if ($_ -eq 'wait') { ($using:gate).Wait() } $_ }
        $held = Open-Talk $server
        Send-Talk $held "wait`nbehind`n"
        $client = Open-TestClient -Argument 'echo', '--lines', '--port', $server.Port, '--count', 50, '--messages', 20
        $ledger = Read-TestClient -Client $client
        Close-TestClient -Client $client | Should -Be 0
        $ledger.messages | Should -Be 1000
        $held.Client.Available | Should -Be 0
        $gate.Set()
        Read-Talk $held -Count 12 | Should -BeExactly "wait`nbehind`n"
        $gate.Dispose()
    }

    It 'handle connections in the order in which they were made, where there are one worker and one thread alone: <Kind>' -ForEach @(
        @{ Kind = 'OnConnect'; Options = @{ OnConnect = { ($using:seen).Enqueue($Connection.RemotePort) }; ScriptBlock = { } } }
        @{ Kind = 'first messages'; Options = @{ ScriptBlock = { ($using:seen).Enqueue($Connection.RemotePort) } } }
    ) {
        $seen = [System.Collections.Concurrent.ConcurrentQueue[int]]::new()
        $server = Start-C10kServer -WorkerCount 1 -HandlerCount 1 -Framing Line @Options
        $talks = foreach ($i in 1..200) {
            $talk = Open-Talk $server
            Send-Talk $talk "x`n"
            $talk
        }
        Wait-Until { $seen.Count -eq 200 }
        $seen.ToArray() | Should -Be @($talks.ForEach({ $_.Client.Client.LocalEndPoint.Port }))
        Close-Talk $talks
    }

    It 'may be one alone' {
        $server = Start-C10kServer -Framing Line -HandlerCount 1 -ScriptBlock { [runspace]::DefaultRunspace.InstanceId }
        $answers = foreach ($time in 1..10) { Invoke-Talk $server "x`n" }
        [System.Collections.Generic.HashSet[string]]::new([string[]]$answers).Count | Should -Be 1
    }

    It 'have the modules of -ImportModule at the first message, by path and by name' {
        $path = Add-TestModule Greeting 'function Get-Greeting { "hello $args" }; function Get-Hidden { 1 }; Export-ModuleMember -Function Get-Greeting'
        $place = $ExecutionContext.SessionState.Path
        $before = $place.CurrentLocation.Path
        $modulePath = $env:PSModulePath
        try {
            $null = $place.SetLocation([wildcardpattern]::Escape("$TestDrive"))
            $env:PSModulePath = "$TestDrive$([System.IO.Path]::PathSeparator)$modulePath"
            foreach ($module in $path, './Greeting', './Greeting/Greeting.psm1', 'Greeting') {
                $server = Start-C10kServer -Framing Line -ImportModule $module -ScriptBlock {
                    Get-Greeting $_
                    [bool](Get-Command Get-Hidden -ErrorAction Ignore)
                }
                Invoke-Talk $server "x`n" | Should -BeExactly "hello x`nFalse`n" -Because $module
                $server.HandlerErrors | Should -Be 0
                $server | Restart-C10kServer
                Invoke-Talk $server "y`n" | Should -BeExactly "hello y`nFalse`n"
                $server | Stop-C10kServer
            }
        } finally {
            $env:PSModulePath = $modulePath
            $null = $place.SetLocation([wildcardpattern]::Escape($before))
        }

        Get-Command Get-Greeting -ErrorAction Ignore | Should -BeNullOrEmpty
    }

    It 'that cannot have their modules are refused, and nothing is left: <Kind>' -ForEach @(
        @{ Kind = 'a path where nothing is'; Module = './no-module-here'; Id = 'ModuleNotFound'; Says = 'no-module-here' }
        @{ Kind = 'a name that is nowhere'; Module = 'no-module-anywhere'; Id = 'ModuleNotFound'; Says = 'no-module-anywhere' }
        @{ Kind = 'a module that throws'; Text = 'throw "not today"'; Id = 'HandlerRunspace'; Says = 'not today' }
        @{ Kind = 'a module that cannot be parsed'; Text = 'function {'; Id = 'HandlerRunspace'; Says = 'function' }
    ) {
        if ($Text) { $Module = Add-TestModule Failing $Text }
        foreach ($time in 1..3) {
            $caught = try { Start-C10kServer -Name failing -ImportModule $Module -ScriptBlock { 1 } } catch { $_ }
            $caught.FullyQualifiedErrorId | Should -Be "$Id,C10kServer.Commands.StartC10kServerCommand"
            "$caught" | Should -Match $Says
            "$caught" | Should -Not -Match 'ErrorActionPreference'
        }

        Get-C10kServer | Should -BeNullOrEmpty
        Wait-ProcessLedger -Base $base
    }

    It 'are replaced though the place where they began has gone' {
        $place = $ExecutionContext.SessionState.Path
        $before = $place.CurrentLocation.Path
        $null = [System.IO.Directory]::CreateDirectory("$TestDrive/gone")
        $null = $place.SetLocation([wildcardpattern]::Escape("$TestDrive/gone"))
        try {
            $server = Start-C10kServer -Framing Line -HandlerCount 1 -HandlerTimeout 100ms -ScriptBlock { if ($_ -eq 'sleep') { [System.Threading.Thread]::Sleep(2000) } $_ }
        } finally {
            $null = $place.SetLocation([wildcardpattern]::Escape($before))
        }

        [System.IO.Directory]::Delete("$TestDrive/gone")
        Invoke-Talk $server "sleep`n" | Should -BeNullOrEmpty
        Invoke-Talk $server "next`n" | Should -BeExactly "next`n"
    }

    It 'may stop their own server, which ends then' {
        $server = Start-C10kServer -Framing Line -HandlerCount 2 -ScriptBlock { if ($_ -eq 'stop') { $Server.Dispose(); 'stopped' } $_ }
        Invoke-Talk $server "x`n" | Should -BeExactly "x`n"
        $talk = Open-Talk $server
        Send-Talk $talk "stop`n"
        Wait-Until { -not (Get-C10kServer) }
        $server.State | Should -Be Stopped
    }

    It 'come and go twenty times, and leave nothing' {
        $path = Add-TestModule Greeting 'function Get-Greeting { "hello $args" }'
        $cycle = {
            $server = Start-C10kServer -Framing Line -ImportModule $path -OnConnect { 'hi' } -OnClose { 1 } -ScriptBlock { Get-Greeting $_ }
            Invoke-Talk $server "x`n" | Should -BeExactly "hi`nhello x`n"
            $server | Stop-C10kServer
        }
        foreach ($time in 1..20) { & $cycle }
        [GC]::Collect()
        [GC]::WaitForPendingFinalizers()
        [GC]::Collect()
        $before = Get-ResidentMemory
        foreach ($time in 1..20) { & $cycle }
        [GC]::Collect()
        [GC]::WaitForPendingFinalizers()
        [GC]::Collect()
        $growth = (Get-ResidentMemory) - $before
        $Host.UI.WriteLine("    $([int]($growth / 1KB)) KiB more after twenty servers")

        # Two runspaces a server, of some megabytes each.
        $growth | Should -BeLessThan 40MB
        Wait-ProcessLedger -Base $base
    }
}

Describe 'A server of scripts in a shell' {
    It 'is stopped by <Way>, one that is stuck too' -ForEach @(
        @{ Way = 'Remove-Module'; Do = { Remove-Module C10kServer } }
        @{ Way = 'Import-Module -Force'; Do = { Import-Module $manifest -Force } }
    ) {
        try {
            $server = Start-C10kServer -Framing Line -ScriptBlock { $_ }
            $stuck = Start-C10kServer -Framing Line -HandlerTimeout 0 -ScriptBlock { while ($true) { } }
            Send-Talk (Open-Talk $stuck) "x`n"
            Invoke-Talk $server "x`n" | Should -BeExactly "x`n"
            Wait-Until { $stuck.MessagesReceived -eq 1 }
            $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
            & $Do
            $watch.Ran.TotalSeconds | Should -BeLessThan 2
            $server.State | Should -Be Stopped
            $stuck.State | Should -Be Stopped
            Close-Talk
        } finally {
            Import-Module $manifest
        }

        Wait-ProcessLedger -Base $base
    }

    It 'lets <Way> end the process within two seconds, though handlers are stuck' -ForEach @(
        @{ Way = 'exit' }
        @{ Way = 'the end of input' }
        @{ Way = 'SIGTERM' }
    ) {
        $shell = Open-TestShell
        try {
            $null = Invoke-TestShell $shell -Line "Import-Module '$manifest'; 'ready'" -Until 'ready'
            $ports = (Invoke-TestShell $shell -Line '$s = @(Start-C10kServer -Framing Line -ScriptBlock { $_ }; Start-C10kServer -Framing Line -ScriptBlock { while ($true) { } }; Start-C10kServer -Framing Line -ScriptBlock { [System.Threading.Thread]::Sleep(60000) }); "ports $($s.Port)"' -Until 'ports ') -split ' '
            $talks = @(foreach ($port in $ports) {
                $talk = Open-Talk @{ Port = $port }
                Send-Talk $talk "x`n"
                $talk
            })
            Read-Talk $talks[0] -Line | Should -Be x
            $null = Invoke-TestShell $shell -Line 'while ($s[1].MessagesReceived + $s[2].MessagesReceived -lt 2) { }; "stuck"' -Until 'stuck'
            $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
            switch ($Way) {
                'exit' { $shell.StandardInput.WriteLine('exit'); $shell.StandardInput.Flush() }
                'the end of input' { $shell.StandardInput.Close() }
                'SIGTERM' { [System.Diagnostics.Process]::Start('kill', "-TERM $($shell.Id)").WaitForExit() }
            }

            $shell.WaitForExit(180000) | Should -BeTrue
            $watch.Ran.TotalSeconds | Should -BeLessThan 2
        } finally {
            Close-Talk
            Close-TestShell $shell
        }
    }

    It 'lets the shell end within two seconds, though <Case>' -ForEach @(
        @{ Case = 'a runspace without a host has started it'; Text = @'
$shell = [powershell]::Create()
$null = $shell.AddScript("Import-Module '$manifest'; Start-C10kServer -Name hostless -Framing Line -ScriptBlock { `$_ }").Invoke()
'@ }
        @{ Case = 'a handler is stuck in a server that a parallel runspace has started'; Text = @'
Invoke-Stuck { 1 | ForEach-Object -Parallel { Import-Module $using:manifest; Start-C10kServer -Framing Line -HandlerCount 1 -ScriptBlock { [Threading.Thread]::Sleep(-1) } } }
'@ }
        @{ Case = 'a stuck handler was given up before'; Text = @'
$server = Invoke-Stuck { Start-C10kServer -Framing Line -HandlerTimeout 100ms -ScriptBlock { [Threading.Thread]::Sleep(-1) } }
while (-not (Get-C10kLog $server | Where-Object Message -Match 'left to itself and replaced')) { Start-Sleep -Milliseconds 20 }
'@ }
    ) {
        $shell = Open-TestShell
        try {
            $path = "$TestDrive/ending.ps1"
            [System.IO.File]::WriteAllText($path, @"
`$manifest = '$manifest'
Import-Module `$manifest
function Invoke-Stuck([scriptblock] `$Start) {
    `$server = & `$Start
    `$client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', `$server.Port)
    `$client.GetStream().Write([byte[]](65, 10))
    while (`$server.MessagesReceived -lt 1) { Start-Sleep -Milliseconds 20 }
    `$server
}
$Text
'running'
"@)
            $null = Invoke-TestShell $shell -Line "& '$path'" -Until 'running'
            $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
            $shell.StandardInput.WriteLine('exit 3')
            $shell.StandardInput.Flush()
            $shell.WaitForExit(180000) | Should -BeTrue
            $watch.Ran.TotalSeconds | Should -BeLessThan 2
            $shell.ExitCode | Should -Be 3
        } finally {
            Close-TestShell $shell
        }
    }

    It 'is called off by Ctrl+C while its modules load, and nothing is left' {
        $scripted = Add-TestModule Endless '[System.IO.File]::WriteAllText("$PSScriptRoot/begun", ""); while ($true) { }'
        $shell = Open-TestShell
        try {
            $null = Invoke-TestShell $shell -Line "Import-Module '$manifest'; 'ready'" -Until 'ready'
            $null = Invoke-TestShell $shell -Line "Import-Module '$PSScriptRoot/../Clients/TestClient.psm1'; Start-C10kServer | Stop-C10kServer; `$base = Get-ProcessLedger; 'ready'" -Until 'ready'
            foreach ($time in 1..3) {
                $null = Invoke-TestShell $shell -Line "'begun'; Start-C10kServer -ImportModule '$scripted' -ScriptBlock { 1 }" -Until 'begun'
                Wait-Until { [System.IO.File]::Exists("$scripted/begun") }
                $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
                [System.Diagnostics.Process]::Start('kill', "-INT $($shell.Id)").WaitForExit()
                Invoke-TestShell $shell -Line '"servers $(@(Get-C10kServer).Count)"' -Until 'servers ' | Should -Be 0
                $watch.Ran.TotalSeconds | Should -BeLessThan 1.5
                $null = Invoke-TestShell $shell -Line 'Wait-ProcessLedger -Base $base; "flat"' -Until 'flat'
                [System.IO.File]::Delete("$scripted/begun")
            }

            $shell.StandardInput.Close()
            $shell.WaitForExit(180000) | Should -BeTrue
        } finally {
            Close-TestShell $shell
        }
    }
}

Describe 'Many messages' -Tag Many {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'on a thousand connections are all answered, in order' {
        $lines = if ($env:C10KSERVER_SCRIPT_LINES) { [int]$env:C10KSERVER_SCRIPT_LINES } else { 200 }
        $server = Start-C10kServer -Framing Line -HandlerCount 4 -ScriptBlock { $ConnectionState.Count++; $_ }
        $client = Open-TestClient -Argument 'echo', '--lines', '--port', $server.Port, '--count', 1000, '--messages', $lines, '--depth', 16, '--timeout', 300
        $ledger = Read-TestClient -Client $client -Seconds 330
        Close-TestClient -Client $client | Should -Be 0
        $Host.UI.WriteLine("    $($ledger.messages) lines on 1,000 connections in $($ledger.seconds) s: $($ledger.rate) a second")
        $ledger.messages | Should -Be (1000 * $lines)
        $ledger.wrong + $ledger.broken + $ledger.failed | Should -Be 0
        $server.MessagesReceived | Should -Be (1000 * $lines)
        $server.HandlerErrors | Should -Be 0
        $server.PeakConnectionCount | Should -Be 1000
    }

    It 'cost no memory' {
        $messages = if ($env:C10KSERVER_SCRIPT_MESSAGES) { [int]$env:C10KSERVER_SCRIPT_MESSAGES } else { 500000 }
        $server = Start-C10kServer -Framing Line -HandlerCount 2 -ScriptBlock { $_ }
        $run = {
            param($Count)
            $client = Open-TestClient -Argument 'echo', '--lines', '--port', $server.Port, '--count', 100, '--messages', ($Count / 100), '--depth', 16, '--timeout', 1800
            $ledger = Read-TestClient -Client $client -Seconds 1830
            Close-TestClient -Client $client | Should -Be 0
            $ledger.messages | Should -Be $Count
            $ledger
        }

        # What the compiler makes of the handler, and the garbage that a full run leaves, are part of the base line.
        $null = & $run 200000
        [GC]::Collect()
        $before = Get-ResidentMemory
        $ledger = & $run $messages
        [GC]::Collect()
        $after = Get-ResidentMemory
        $drift = 100.0 * ($after - $before) / $before
        $Host.UI.WriteLine("    $($ledger.rate) messages a second; $([int]($before / 1MB)) MiB before $messages messages, $([int]($after / 1MB)) after: $($drift.ToString('0.0')) %")
        $drift | Should -BeLessThan 5
    }
}

Describe 'A shell that ends' {
    It 'closes the runspaces of handlers, as pwsh does with all, and these end their server instead of holding it up' {
        # Whether the thread or the close comes first is up to chance.
        foreach ($round in 1..10) {
            $runspaces = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
            $server = Start-C10kServer -Framing Line -HandlerCount 2 -ScriptBlock { ($using:runspaces).Enqueue([runspace]::DefaultRunspace) }
            $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
            try {
                $client.GetStream().Write([byte[]](120, 10))
                Wait-Until { $runspaces.Count -eq 1 }
                $closed = @($runspaces)[0]
                $closed.CloseAsync()
                Wait-Until { "$($closed.RunspaceStateInfo.State)" -eq 'Closed' } -Seconds 10
                Wait-Until { "$($server.State)" -eq 'Stopped' } -Seconds 10
            } finally {
                $client.Dispose()
                Stop-C10kServer $server.Name -ErrorAction Ignore
            }
        }
    }
}
