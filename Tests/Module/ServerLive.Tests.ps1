# Servers that are drained, restarted, changed, suspended, waited for and tested while clients are connected.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $manifest = "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/C10kServer.psd1"
    Import-Module $manifest
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"

    # Runs a script in a runspace of its own, which sees the same servers; the test goes on when it has begun. $Server is its argument.
    function Invoke-Aside([string] $Script, [C10kServer.Server] $Server) {
        $state = [initialsessionstate]::CreateDefault2()
        $null = $state.ImportPSModule([string[]]$manifest)
        $begun = [System.Threading.ManualResetEventSlim]::new()
        $shell = [powershell]::Create($state).AddScript("param(`$Begun, `$Server) `$Begun.Set(); $Script").AddArgument($begun).AddArgument($Server)
        $output = [System.Management.Automation.PSDataCollection[psobject]]::new()
        $call = $shell.BeginInvoke([System.Management.Automation.PSDataCollection[psobject]]::new(), $output)
        if (-not $begun.Wait(180000)) { throw 'It has not begun.' }
        @{ Shell = $shell; Call = $call; Output = $output }
    }

    # What it wrote, once it is done.
    function Receive-Aside([hashtable] $Aside) {
        if (-not $Aside.Call.AsyncWaitHandle.WaitOne(180000)) { throw 'It is still at it.' }
        $null = $Aside.Shell.EndInvoke($Aside.Call)
        $Aside.Output
    }

    # Ends it as Ctrl+C does, and tells how long that took, in seconds.
    function Close-Aside([hashtable] $Aside) {
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $Aside.Shell.Stop()
        $watch.Elapsed.TotalSeconds
    }

    function Open-Hold([int] $Port, [int] $Count) {
        $client = Open-TestClient -Argument 'hold', '--port', $Port, '--count', $Count
        (Read-TestClient -Client $client).failed | Should -Be 0
        $client
    }

    function Open-Socket([C10kServer.Server] $Server) {
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $Server.Port)
        $client.ReceiveTimeout = 180000
        $client
    }

    $base = Get-ProcessLedger
    $private = [System.Reflection.BindingFlags]'NonPublic, Instance'
}

AfterAll {
    Get-C10kServer | Stop-C10kServer
}

Describe 'Stop-C10kServer -Drain' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer -Force
        Wait-ProcessLedger -Base $base
    }

    It 'serves those who are connected until they are done, refuses others, and stops' {
        $server = Start-C10kServer -Name web
        $client = Open-Hold -Port $server.Port -Count 20
        $aside = Invoke-Aside 'Stop-C10kServer web -Drain -PassThru'
        Wait-Until { $server.State -eq 'Draining' }
        Wait-Until { try { (Open-Socket $server).Dispose(); $false } catch { $true } } -Because 'the port is closed'
        $echo = Invoke-TestClient -Client $client -Line 'echo 3 1000'
        $echo.connections | Should -Be 20
        $echo.wrong + $echo.failed | Should -Be 0
        $aside.Call.IsCompleted | Should -BeFalse
        $closed = Invoke-TestClient -Client $client -Line 'close 20'
        $closed.closed | Should -Be 20
        $closed.reset | Should -Be 0
        (Receive-Aside $aside).Id | Should -Be $server.Id
        $aside.Shell.Streams.Error | Should -BeNullOrEmpty
        $server.State | Should -Be Stopped
        $server.Accepted | Should -Be $server.Closed
        $null = Close-TestClient -Client $client
        $aside.Shell.Dispose()
    }

    It 'serves those who wait in the kernel''s queue, too' {
        $server = Start-C10kServer -Name web | Suspend-C10kServer -PassThru
        $client = Open-Hold -Port $server.Port -Count 5
        $server.ConnectionCount | Should -Be 0
        $aside = Invoke-Aside 'Stop-C10kServer web -Drain'
        (Invoke-TestClient -Client $client -Line 'echo 1 100').wrong | Should -Be 0
        (Invoke-TestClient -Client $client -Line 'close 5').closed | Should -Be 5
        Receive-Aside $aside | Should -BeNullOrEmpty
        $server.State | Should -Be Stopped
        $server.Closed | Should -Be 5
        $null = Close-TestClient -Client $client
        $aside.Shell.Dispose()
    }

    It 'says what is left at the timeout, and goes on draining; it can be waited for again' {
        $server = Start-C10kServer
        $client = Open-Socket $server
        try {
            Wait-Until { $server.ConnectionCount -eq 1 }
            $server | Stop-C10kServer -Drain -Timeout 200ms -PassThru -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
            $failed | Should -HaveCount 1
            $failed[0].FullyQualifiedErrorId | Should -Be 'DrainTimeout,C10kServer.Commands.StopC10kServerCommand'
            $failed[0].CategoryInfo.Category | Should -Be OperationTimeout
            $failed[0].TargetObject.Id | Should -Be $server.Id
            "$($failed[0])" | Should -Match '1 connection left after 0\.2 s'
            $server.State | Should -Be Draining
            (Get-C10kServer).Id | Should -Be $server.Id
            $client.GetStream().Write([byte[]](1, 2, 3), 0, 3)
            $client.GetStream().ReadByte() | Should -Be 1
        } finally {
            $client.Dispose()
        }

        $server | Stop-C10kServer -Drain
        $server.State | Should -Be Stopped
    }

    It 'stops by itself when the last connection has ended, though nobody waits any more: <Way>' -ForEach @(
        @{ Way = 'after the timeout'; Timeout = '100ms' }
        @{ Way = 'after Ctrl+C'; Timeout = '1h' }
    ) {
        $server = Start-C10kServer -Name web
        $client = Open-Socket $server
        Wait-Until { $server.ConnectionCount -eq 1 }
        $aside = Invoke-Aside "Stop-C10kServer web -Drain -Timeout $Timeout -ErrorAction SilentlyContinue"
        Wait-Until { $server.State -eq 'Draining' }
        if ($Way -eq 'after Ctrl+C') { $null = Close-Aside $aside } else { $null = Receive-Aside $aside }
        $aside.Shell.Dispose()
        $server.State | Should -Be Draining
        $client.GetStream().Write([byte[]](1, 2, 3), 0, 3)
        $client.GetStream().ReadByte() | Should -Be 1
        $client.Dispose()
        Wait-Until { $server.State -eq 'Stopped' }
        Wait-Until { -not (Get-C10kServer web*) } -Because 'its name is free'
        (Get-C10kLog $server).Message -match 'has stopped' | Should -HaveCount 1
        Wait-ProcessLedger -Base $base
        Start-C10kServer -Name web -Port $server.Port | Stop-C10kServer
    }

    It 'resets what is left at the timeout with -Force' {
        $server = Start-C10kServer
        $client = Open-Hold -Port $server.Port -Count 10
        Wait-Until { $server.ConnectionCount -eq 10 }
        $server | Stop-C10kServer -Drain -Timeout 200ms -Force -ErrorVariable failed
        $failed | Should -BeNullOrEmpty
        $server.State | Should -Be Stopped
        (Invoke-TestClient -Client $client -Line 'wait ended=10').reset | Should -Be 10
        $null = Close-TestClient -Client $client
    }

    It 'drains several at the same time, and stops each when it is done' {
        $busy, $idle, $other = 1..3 | ForEach-Object { Start-C10kServer }
        $clients = $busy, $other | ForEach-Object { Open-Socket $_ }
        Wait-Until { $busy.ConnectionCount + $other.ConnectionCount -eq 2 }
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $stopped = $busy, $idle, $other | Stop-C10kServer -Drain -Timeout 1 -PassThru -ErrorAction SilentlyContinue -ErrorVariable failed
        $watch.Ran.TotalSeconds | Should -BeLessThan 1.8
        $stopped.Id | Should -Be $idle.Id
        $failed | Should -HaveCount 2
        $clients.Dispose()
    }

    It 'ends the wait at Ctrl+C, and the server stays Draining' {
        $server = Start-C10kServer -Name web
        $client = Open-Socket $server
        Wait-Until { $server.ConnectionCount -eq 1 }
        $aside = Invoke-Aside 'Stop-C10kServer web -Drain -Timeout 1h'
        Wait-Until { $server.State -eq 'Draining' }
        Close-Aside $aside | Should -BeLessThan 0.5
        $server.State | Should -Be Draining
        $server.ConnectionCount | Should -Be 1
        $client.Dispose()
        $aside.Shell.Dispose()
    }

    It 'shows after a second how many are left, and takes that away at the end' {
        $server = Start-C10kServer -Name web
        $client = Open-Socket $server
        Wait-Until { $server.ConnectionCount -eq 1 }
        $aside = Invoke-Aside 'Stop-C10kServer web -Drain'
        $shown = $aside.Shell.Streams.Progress
        Wait-Until { $shown.Count -gt 0 }
        $server.Uptime.TotalSeconds | Should -BeGreaterThan 1
        $shown[0].Activity | Should -Be 'Draining'
        $shown[0].StatusDescription | Should -Be '1 connection left of web'
        $client.Dispose()
        $null = Receive-Aside $aside
        $shown[$shown.Count - 1].RecordType | Should -Be Completed
        $aside.Shell.Dispose()
    }

    It 'is at once without connections, and does nothing to a stopped server' {
        $server = Start-C10kServer
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $server | Stop-C10kServer -Drain
        $watch.Ran.TotalSeconds | Should -BeLessThan 1
        ($server | Stop-C10kServer -Drain -PassThru).State | Should -Be Stopped
    }

    It 'refuses -Timeout without -Drain, as it would have no effect: <_>' -ForEach 'Stop-C10kServer', 'Restart-C10kServer' {
        $server = Start-C10kServer -Name web
        $caught = try { & $_ web -Timeout 5 } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -BeLike 'InvalidArgument,*'
        "$caught" | Should -Match '-Drain'
        $server.State | Should -Be Running
    }
}

Describe 'Restart-C10kServer' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer -Force
        Wait-ProcessLedger -Base $base
    }

    It 'keeps object, Id, Name, port, options and handler, and begins the counters anew' {
        $server = Start-C10kServer -Name web -Protocol Hello -Workers 2 -MaxConnection 50 -IdleTimeout 1h
        $server | Set-C10kServer -WorkerCount 3
        (Open-Socket $server).Dispose()
        Wait-Until { $server.Closed -eq 1 }
        $id, $port = $server.Id, $server.Port
        $same = Restart-C10kServer web -PassThru
        [object]::ReferenceEquals($same, $server) | Should -BeTrue
        $server.State | Should -Be Running
        $server.Id | Should -Be $id
        $server.Name | Should -Be 'web'
        $server.Port | Should -Be $port
        $server.WorkerCount | Should -Be 3
        $server.Options.MaxConnection | Should -Be 50
        $server.Options.IdleTimeout | Should -Be ([timespan]'01:00:00')
        $server.Accepted + $server.Closed + $server.BytesSent | Should -Be 0
        $client = Open-Socket $server
        [System.IO.StreamReader]::new($client.GetStream()).ReadToEnd() | Should -BeExactly 'hello world'
        $client.Dispose()
    }

    It 'still has the connections that have ended before' {
        $server = Start-C10kServer -Name web -Protocol Hello
        (Open-Socket $server).Dispose()
        Wait-Until { $server.Closed -eq 1 }
        $first = Get-C10kConnection web -Closed
        $first | Should -HaveCount 1
        Restart-C10kServer web
        $server.Closed | Should -Be 0 -Because 'the counters begin anew'
        (Get-C10kConnection web -Closed).Id | Should -Be $first.Id
        (Get-C10kConnection web -Closed).CloseReason | Should -Be $first.CloseReason
        (Open-Socket $server).Dispose()
        Wait-Until { $server.Closed -eq 1 }
        Restart-C10kServer web
        $rows = @(Get-C10kConnection web -Closed)
        $rows | Should -HaveCount 2
        $rows[1].Id | Should -Be $first.Id
        $server | Stop-C10kServer
        @($server | Get-C10kConnection -Closed) | Should -HaveCount 2
    }

    It 'refuses no client meanwhile, and serves those who wait in the queue: <Name>' -ForEach @(
        @{ Name = 'dealt by the acceptor'; Given = @{ WorkerCount = 2 } }
        @{ Name = 'accepted by the only worker'; Given = @{ WorkerCount = 1 } }
        @{ Name = 'by ReusePort, under a rate of accepts'; Given = @{ Dispatch = 'ReusePort'; WorkerCount = 3; AcceptRate = 100 } }
    ) {
        $server = Start-C10kServer @Given | Suspend-C10kServer -PassThru
        $clients = 1..10 | ForEach-Object { Open-Socket $server }
        $server | Restart-C10kServer
        foreach ($client in $clients) {
            $client.GetStream().WriteByte(7)
            $client.GetStream().ReadByte() | Should -Be 7
        }

        $server.Accepted | Should -Be 10
        $clients.Dispose()
    }

    It 'keeps its port while it drains for the restart' {
        function Get-Listener([int] $Port) {
            $row = '^ *\d+: 0100007F:{0:X4} 00000000:0000 0A(?: +\S+){{5}} +(\d+) ' -f $Port
            foreach ($line in [System.IO.File]::ReadAllLines('/proc/net/tcp')) { if ($line -match $row) { $Matches[1] } }
        }

        $server = Start-C10kServer -Name web
        $socket = Get-Listener $server.Port
        $socket | Should -Match '^\d+$'
        $client = Open-Socket $server
        Wait-Until { $server.ConnectionCount -eq 1 }
        $aside = Invoke-Aside 'Restart-C10kServer web -Drain'
        Wait-Until { try { (Open-Socket $server).Dispose(); $false } catch { $true } } -Because 'it listens no more'
        $port = $server.Port
        $client.Dispose()
        $null = Receive-Aside $aside
        $aside.Shell.Streams.Error | Should -BeNullOrEmpty
        $server.State | Should -Be Running
        $server.Port | Should -Be $port
        Get-Listener $port | Should -Be $socket -Because 'a socket that is closed in between may lose its port to another'
        (Get-C10kServer web).Id | Should -Be $server.Id
        $aside.Shell.Dispose()
    }

    It 'ends the connections of before in order' {
        $server = Start-C10kServer
        $client = Open-Hold -Port $server.Port -Count 20
        Wait-Until { $server.ConnectionCount -eq 20 }
        $server | Restart-C10kServer
        $end = Invoke-TestClient -Client $client -Line 'wait ended=20'
        $end.reset | Should -Be 0
        $server.ConnectionCount | Should -Be 0
        Get-C10kConnection | Should -BeNullOrEmpty
        $null = Close-TestClient -Client $client
    }

    It 'listens where it did: <Name>' -ForEach @(
        @{ Name = 'on two addresses'; Given = @{ Address = '127.0.0.1', '::1' } }
        @{ Name = 'by ReusePort'; Given = @{ Dispatch = 'ReusePort'; WorkerCount = 3 } }
        @{ Name = 'on a path'; Given = @{ UnixPath = "$([System.IO.Path]::GetTempPath())c10k-$PID.sock"; UnixMode = '600' } }
    ) {
        $server = Start-C10kServer @Given
        $before = "$($server.EndPoints)"
        $server | Restart-C10kServer
        "$($server.EndPoints)" | Should -Be $before
        Test-C10kServer $server | Should -BeTrue
    }

    It 'leaves descriptors and threads as they were, twenty times in a row with clients' {
        $server = Start-C10kServer -Workers 3
        $server | Restart-C10kServer
        $running = Get-ProcessLedger
        $running.Threads | Should -Be ($base.Threads + 4)
        foreach ($time in 1..20) {
            $client = Open-Socket $server
            Wait-Until { $server.ConnectionCount -eq 1 }
            $server | Restart-C10kServer
            $client.Dispose()
            $server.State | Should -Be Running
        }

        Wait-ProcessLedger -Base $running
        (Get-ProcessLedger).Threads | Should -Be $running.Threads
    }

    It 'waits with -Drain until the connections have finished' {
        $server = Start-C10kServer -Name web
        $client = Open-Hold -Port $server.Port -Count 10
        Wait-Until { $server.ConnectionCount -eq 10 }
        $aside = Invoke-Aside 'Restart-C10kServer web -Drain -PassThru'
        Wait-Until { $server.State -eq 'Draining' }
        (Invoke-TestClient -Client $client -Line 'echo 2 500').wrong | Should -Be 0
        (Invoke-TestClient -Client $client -Line 'close 10').closed | Should -Be 10
        (Receive-Aside $aside).State | Should -Be Running
        $aside.Shell.Streams.Warning | Should -BeNullOrEmpty
        Test-C10kServer web | Should -BeTrue
        $null = Close-TestClient -Client $client
        $aside.Shell.Dispose()
    }

    It 'closes what is left at the timeout of -Drain, with a warning' {
        $server = Start-C10kServer
        $client = Open-Socket $server
        Wait-Until { $server.ConnectionCount -eq 1 }
        $server | Restart-C10kServer -Drain -Timeout 200ms -WarningAction SilentlyContinue -WarningVariable warnings
        "$warnings" | Should -Match '1 connection left after 0\.2 s'
        $server.State | Should -Be Running
        $client.GetStream().ReadByte() | Should -Be -1
        $client.Dispose()
    }

    It 'starts one that was stopped, which is listed again' {
        $server = Start-C10kServer -Name web
        $port = $server.Port
        $server | Stop-C10kServer
        $server | Restart-C10kServer
        (Get-C10kServer web).Id | Should -Be $server.Id
        $server.Port | Should -Be $port
        Test-C10kServer -Id $server.Id | Should -BeTrue
    }

    It 'starts one that has faulted' {
        $server = Start-C10kServer -Name web

        # As a thread of the engine does that has failed.
        $engine = [C10kServer.Server].GetField('_engine', $private).GetValue($server)
        $null = $engine.GetType().GetMethod('OnFault', $private).Invoke($engine, @('a worker', [System.IO.IOException]::new('broken')))
        $server.State | Should -Be Faulted
        Restart-C10kServer web
        $server.State | Should -Be Running
        $server.LastError | Should -BeNullOrEmpty
        Test-C10kServer web | Should -BeTrue
    }

    It 'runs one that was suspended or draining' {
        $server = Start-C10kServer | Suspend-C10kServer -PassThru | Restart-C10kServer -PassThru
        $server.State | Should -Be Running
        $client = Open-Socket $server
        Wait-Until { $server.ConnectionCount -eq 1 }
        $server | Stop-C10kServer -Drain -Timeout 0 -ErrorAction SilentlyContinue
        $server.State | Should -Be Draining
        $server | Restart-C10kServer
        Test-C10kServer $server | Should -BeTrue
        $client.Dispose()
    }

    It 'says that another server has the name meanwhile' {
        $first = Start-C10kServer -Name web
        $first | Stop-C10kServer
        $second = Start-C10kServer -Name WEB
        $first | Restart-C10kServer -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed[0].FullyQualifiedErrorId | Should -Be 'NameInUse,C10kServer.Commands.RestartC10kServerCommand'
        $failed[0].CategoryInfo.Category | Should -Be ResourceExists
        $first.State | Should -Be Stopped
        (Get-C10kServer).Id | Should -Be $second.Id
        Test-C10kServer web | Should -BeTrue
    }

    It 'says that somebody has the port meanwhile; it is stopped, its name is free, and it can be tried again' {
        $first = Start-C10kServer -Name web
        $first | Stop-C10kServer
        $second = Start-C10kServer -Port $first.Port
        $ledger = Get-ProcessLedger
        $first | Restart-C10kServer -PassThru -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
        $failed[0].FullyQualifiedErrorId | Should -Be 'PortInUse,C10kServer.Commands.RestartC10kServerCommand'
        $failed[0].CategoryInfo.Category | Should -Be ResourceBusy
        "$($failed[0])" | Should -Match 'web was stopped and could not be started again, so it is Stopped now: Port \d+'
        $first.State | Should -Be Stopped
        Get-C10kServer web* | Should -BeNullOrEmpty
        (Get-ProcessLedger).Descriptors | Should -Be $ledger.Descriptors
        Start-C10kServer -Name web | Stop-C10kServer
        $second | Stop-C10kServer
        ($first | Restart-C10kServer -PassThru).State | Should -Be Running
    }

    It 'leaves a server on sockets of systemd as it is' {
        $server = Start-C10kServer -Name web

        # A process gets such sockets at its beginning or never, so this option is set behind the server's back.
        $engine = [C10kServer.Server].GetField('_engine', $private).GetValue($server)
        $engine.Options.GetType().GetProperty('Inherited').SetValue($engine.Options, [int[]](3))
        foreach ($drain in $false, $true) {
            Restart-C10kServer web -Drain:$drain -ErrorAction SilentlyContinue -ErrorVariable failed
            $failed[0].FullyQualifiedErrorId | Should -Be 'RestartUnsupported,C10kServer.Commands.RestartC10kServerCommand'
            $failed[0].CategoryInfo.Category | Should -Be InvalidOperation
            $server.State | Should -Be Running
        }
    }

    It 'belongs, once stopped, to the runspace that restarted it' {
        $server = Start-C10kServer -Name web
        $server | Stop-C10kServer
        $shell = [powershell]::Create([initialsessionstate]::CreateDefault2())
        $null = $shell.AddScript("param(`$s) Import-Module '$manifest'; `$s | Restart-C10kServer; `$s.State; Remove-Module C10kServer").AddArgument($server)
        $shell.Invoke() | Should -Be 'Running'
        $server.State | Should -Be Stopped
        $shell.Dispose()
    }

    It 'stays with the runspace that started it while it runs' {
        $server = Start-C10kServer -Name web
        $shell = [powershell]::Create([initialsessionstate]::CreateDefault2())
        $null = $shell.AddScript("Import-Module '$manifest'; Restart-C10kServer web; Remove-Module C10kServer").Invoke()
        $shell.Streams.Error | Should -BeNullOrEmpty
        $server.State | Should -Be Running
        $server.Uptime.TotalSeconds | Should -BeLessThan 60
        $shell.Dispose()
    }

    It 'may come at the same time from several runspaces, and one stop ends it' {
        $server = Start-C10kServer -Name web -Workers 2
        $asides = 1..4 | ForEach-Object { Invoke-Aside 'foreach ($time in 1..10) { Restart-C10kServer web }' }
        foreach ($aside in $asides) {
            Receive-Aside $aside | Should -BeNullOrEmpty
            $aside.Shell.Streams.Error | Should -BeNullOrEmpty
            $aside.Shell.Dispose()
        }

        $server.State | Should -Be Running
        Test-C10kServer web | Should -BeTrue
        Stop-C10kServer web
        Wait-ProcessLedger -Base $base
    }
}

Describe 'Set-C10kServer' {
    BeforeAll {
        $server = Start-C10kServer -Name web -Workers 2
    }

    AfterAll {
        $server | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'changes -<Parameter>, and nothing else' -ForEach @(
        @{ Parameter = 'WorkerCount'; Value = 3; Expected = 3 }
        @{ Parameter = 'MaxConnection'; Value = 77; Expected = 77 }
        @{ Parameter = 'MaxConnectionPerAddress'; Value = 55; Expected = 55 }
        @{ Parameter = 'AcceptRate'; Value = 5000; Expected = 5000 }
        @{ Parameter = 'Dispatch'; Value = 'LeastLoaded'; Expected = 'LeastLoaded' }
        @{ Parameter = 'IdleTimeout'; Value = '2m'; Expected = [timespan]'00:02:00' }
        @{ Parameter = 'HandshakeTimeout'; Value = 90; Expected = [timespan]'00:01:30' }
        @{ Parameter = 'LingerTimeout'; Value = '1500ms'; Expected = [timespan]'00:00:01.5' }
        @{ Parameter = 'WriteTimeout'; Value = '3m'; Expected = [timespan]'00:03:00' }
        @{ Parameter = 'HighWaterMark'; Value = 1000; Expected = 1000 }
        @{ Parameter = 'MaxSendQueue'; Value = 1MB; Expected = 1MB }
        @{ Parameter = 'BusyPoll'; Value = 50; Expected = 50 }
    ) {
        $before = $server.Options
        $before.$Parameter | Should -Not -Be $Expected
        $given = @{ $Parameter = $Value }
        (Set-C10kServer web @given -PassThru).Id | Should -Be $server.Id
        $after = $server.Options
        $after.$Parameter | Should -Be $Expected
        foreach ($property in $before.PSObject.Properties.Name) {
            if ($property -ne $Parameter) { "$($after.$property)" | Should -Be "$($before.$property)" -Because $property }
        }
    }

    It 'has a parameter for each that can change, called as at the start' {
        $common = [System.Management.Automation.Cmdlet]::CommonParameters
        $start = (Get-Command Start-C10kServer).Parameters
        foreach ($parameter in (Get-Command Set-C10kServer).Parameters.Values) {
            if ($parameter.Name -in 'Name', 'Id', 'InputObject', 'PassThru' -or $common.Contains($parameter.Name)) { continue }
            $start.ContainsKey($parameter.Name) | Should -BeTrue -Because $parameter.Name
            $parameter.ParameterType | Should -Be $start[$parameter.Name].ParameterType
            "$($parameter.Aliases)" | Should -Be "$($start[$parameter.Name].Aliases)"
        }
    }

    It 'refuses -<Parameter> <Value> and names it, and the next server is processed' -ForEach @(
        @{ Parameter = 'WorkerCount'; Value = 0 }
        @{ Parameter = 'WorkerCount'; Value = 257 }
        @{ Parameter = 'MaxConnection'; Value = -1 }
        @{ Parameter = 'MaxConnectionPerAddress'; Value = -1 }
        @{ Parameter = 'AcceptRate'; Value = -1 }
        @{ Parameter = 'LingerTimeout'; Value = 0 }
        @{ Parameter = 'IdleTimeout'; Value = '5000d' }
        @{ Parameter = 'HighWaterMark'; Value = 0 }
        @{ Parameter = 'HighWaterMark'; Value = 100000000 }
        @{ Parameter = 'MaxSendQueue'; Value = 0 }
        @{ Parameter = 'MaxSendQueue'; Value = 900 }
        @{ Parameter = 'Dispatch'; Value = 'ReusePort' }
    ) {
        $before = $server.Options
        $given = @{ $Parameter = $Value }
        $server, $server | Set-C10kServer @given -PassThru -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
        $failed | Should -HaveCount 2
        $failed[0].FullyQualifiedErrorId | Should -Be 'InvalidArgument,C10kServer.Commands.SetC10kServerCommand'
        "$($failed[0])" | Should -Match "^-${Parameter}: "
        $server.Options.$Parameter | Should -Be $before.$Parameter
    }

    It 'changes nothing where one of several values is invalid' {
        $workers = $server.WorkerCount
        Set-C10kServer web -WorkerCount ($workers + 1) -AcceptRate -1 -ErrorAction SilentlyContinue
        $server.WorkerCount | Should -Be $workers
        $server.Workers | Should -HaveCount $workers
    }

    It 'says so when nothing is to be set' {
        $caught = try { $server | Set-C10kServer -PassThru -Verbose } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'InvalidArgument,C10kServer.Commands.SetC10kServerCommand'
        "$caught" | Should -Match 'Nothing to set .*-WorkerCount'
    }

    It 'refuses more connections than there are descriptors' {
        Set-C10kServer web -MaxConnection 10000000 -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed[0].FullyQualifiedErrorId | Should -Be 'DescriptorLimit,C10kServer.Commands.SetC10kServerCommand'
        $failed[0].CategoryInfo.Category | Should -Be LimitsExceeded
        "$($failed[0])" | Should -Match 'ulimit -n'
    }

    It 'cannot turn ReusePort off either' {
        $other = Start-C10kServer -Dispatch ReusePort
        $other | Set-C10kServer -Dispatch RoundRobin -ErrorAction SilentlyContinue -ErrorVariable failed
        "$($failed[0])" | Should -Match '^-Dispatch: .*cannot be changed'
        $other | Stop-C10kServer
    }

    It 'says of a stopped server that it is stopped' {
        $other = Start-C10kServer
        $other | Stop-C10kServer
        $other | Set-C10kServer -AcceptRate 5 -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed[0].FullyQualifiedErrorId | Should -Be 'InvalidServerState,C10kServer.Commands.SetC10kServerCommand'
        "$($failed[0])" | Should -Match 'Stopped'
    }

    It 'changes the number of workers under traffic, and no byte is lost' {
        $other = Start-C10kServer -Workers 2
        $client = Open-Hold -Port $other.Port -Count 50
        $null = $client.StandardInput.WriteLine('echo 4000 500')
        $client.StandardInput.Flush()
        Wait-Until { $other.BytesReceived -gt 0 }
        foreach ($count in 5, 1, 4, 2, 6, 1, 3) {
            $other | Set-C10kServer -WorkerCount $count
            $other.Workers | Should -HaveCount $count
        }

        $other.BytesReceived | Should -BeLessThan (50 * 4000 * 500) -Because 'the traffic is to be still going on'
        $echo = Read-TestClient -Client $client
        $echo.connections | Should -Be 50
        $echo.messages | Should -Be (50 * 4000)
        $echo.wrong + $echo.failed | Should -Be 0
        $total = 0
        foreach ($worker in $other.Workers) { $total += $worker.ConnectionCount }
        $total | Should -Be 50
        $other.BytesSent | Should -Be (50 * 4000 * 500)
        $null = Close-TestClient -Client $client
        $other | Stop-C10kServer
    }

    It 'holds for connections that are open' {
        $other = Start-C10kServer
        $client = Open-Hold -Port $other.Port -Count 5
        $other | Set-C10kServer -IdleTimeout 200ms -MaxConnection 5
        (Invoke-TestClient -Client $client -Line 'wait ended=5').reset | Should -Be 0
        Wait-Until { $other.ConnectionCount -eq 0 }
        (Get-C10kConnection $other -Closed).CloseReason | Should -Be (@('IdleTimeout') * 5)
        $null = Close-TestClient -Client $client
        $other | Stop-C10kServer
    }
}

Describe 'Suspend-C10kServer and Resume-C10kServer' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer -Force
        Wait-ProcessLedger -Base $base
    }

    It 'let connects wait, and then serve them; open connections go on' {
        $server = Start-C10kServer -Name web
        $open = Open-Hold -Port $server.Port -Count 5
        Wait-Until { $server.ConnectionCount -eq 5 }
        (Suspend-C10kServer web -PassThru).State | Should -Be Suspended
        $waiting = Open-Hold -Port $server.Port -Count 10
        $null = $waiting.StandardInput.WriteLine('echo 1 100')
        $waiting.StandardInput.Flush()
        (Invoke-TestClient -Client $open -Line 'echo 5 1000').wrong | Should -Be 0
        $server.Accepted | Should -Be 5
        (Resume-C10kServer web -PassThru).State | Should -Be Running
        $echo = Read-TestClient -Client $waiting
        $echo.connections | Should -Be 10
        $echo.wrong + $echo.failed | Should -Be 0
        $server.Accepted | Should -Be 15
        $null = $open, $waiting | ForEach-Object { Close-TestClient -Client $_ }
    }

    It 'are idempotent' {
        $server = Start-C10kServer
        $server | Resume-C10kServer
        $server.State | Should -Be Running
        $server | Suspend-C10kServer
        $server | Suspend-C10kServer
        $server.State | Should -Be Suspended
    }

    It '<Command> says in which state a server is that cannot be, and goes on with the next' -ForEach @(
        @{ Command = 'Suspend-C10kServer'; Becomes = 'Suspended' }
        @{ Command = 'Resume-C10kServer'; Becomes = 'Running' }
    ) {
        $draining = Start-C10kServer -Name draining
        $client = Open-Socket $draining
        Wait-Until { $draining.ConnectionCount -eq 1 }
        $draining | Stop-C10kServer -Drain -Timeout 0 -ErrorAction SilentlyContinue
        $stopped = Start-C10kServer -Name stopped
        $stopped | Stop-C10kServer
        $good = Start-C10kServer -Name good
        $done = $draining, $stopped, $good | & $Command -PassThru -ErrorAction SilentlyContinue -ErrorVariable failed
        $done.Name | Should -Be 'good'
        $good.State | Should -Be $Becomes
        $failed | Should -HaveCount 2
        foreach ($problem in $failed) {
            $problem.FullyQualifiedErrorId | Should -BeLike 'InvalidServerState,*'
            $problem.CategoryInfo.Category | Should -Be InvalidOperation
        }
        "$($failed[0])" | Should -Match 'draining is Draining'
        "$($failed[1])" | Should -Match 'stopped is Stopped'
        $client.Dispose()
    }
}

Describe 'Wait-C10kServer' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer -Force
        Wait-ProcessLedger -Base $base
    }

    It 'writes at once what is there already' {
        $server = Start-C10kServer -Name web
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        (Wait-C10kServer web Running).Id | Should -Be $server.Id
        ($server | Wait-C10kServer -State Stopped, Running -Timeout 0).Id | Should -Be $server.Id
        (Wait-C10kServer -Id $server.Id -ConnectionCount 0).Id | Should -Be $server.Id
        $watch.Ran.TotalSeconds | Should -BeLessThan 1
    }

    It 'waits for a state' {
        $server = Start-C10kServer -Name web
        $aside = Invoke-Aside '$Server | Wait-C10kServer -State Suspended' $server
        [System.Threading.Thread]::Sleep(300)
        $aside.Call.IsCompleted | Should -BeFalse
        $server | Suspend-C10kServer
        (Receive-Aside $aside).Id | Should -Be $server.Id
        $aside.Shell.Dispose()
    }

    It 'waits for the end: the name is free then, and a restart is no end' {
        $server = Start-C10kServer -Name web
        $aside = Invoke-Aside '$Server | Wait-C10kServer -State Stopped; Start-C10kServer -Name web' $server
        foreach ($time in 1..10) { $server | Restart-C10kServer }
        [System.Threading.Thread]::Sleep(300)
        $aside.Call.IsCompleted | Should -BeFalse
        $server | Stop-C10kServer
        (Receive-Aside $aside).State -join ' ' | Should -Be 'Stopped Running'
        $aside.Shell.Dispose()
    }

    It 'waits until so many have come, and until all have gone' {
        $server = Start-C10kServer
        $aside = Invoke-Aside '$Server | Wait-C10kServer -ConnectionCount 20; $Server | Wait-C10kServer -ConnectionCount 0' $server
        $client = Open-Hold -Port $server.Port -Count 25
        Wait-Until { $aside.Output.Count -eq 1 }
        $aside.Call.IsCompleted | Should -BeFalse
        (Invoke-TestClient -Client $client -Line 'close 25').closed | Should -Be 25
        @(Receive-Aside $aside) | Should -HaveCount 2
        $aside.Shell.Streams.Error | Should -BeNullOrEmpty
        $null = Close-TestClient -Client $client
        $aside.Shell.Dispose()
    }

    It 'compares by <Comparison>: 2 with <Count> is <Expected>' -ForEach @(
        @{ Comparison = 'Equal'; Count = 2; Expected = $true }
        @{ Comparison = 'Equal'; Count = 1; Expected = $false }
        @{ Comparison = 'GreaterOrEqual'; Count = 2; Expected = $true }
        @{ Comparison = 'GreaterOrEqual'; Count = 0; Expected = $true }
        @{ Comparison = 'GreaterOrEqual'; Count = 3; Expected = $false }
        @{ Comparison = 'LessOrEqual'; Count = 2; Expected = $true }
        @{ Comparison = 'LessOrEqual'; Count = 1; Expected = $false }
        @{ Comparison = 'Greater'; Count = 1; Expected = $true }
        @{ Comparison = 'Greater'; Count = 2; Expected = $false }
        @{ Comparison = 'Less'; Count = 3; Expected = $true }
        @{ Comparison = 'Less'; Count = 2; Expected = $false }
    ) {
        $server = Start-C10kServer
        $clients = 1..2 | ForEach-Object { Open-Socket $server }
        Wait-Until { $server.ConnectionCount -eq 2 }
        $found = $server | Wait-C10kServer -ConnectionCount $Count -Comparison $Comparison -Timeout 50ms -ErrorAction SilentlyContinue
        $null -ne $found | Should -Be $Expected
        $clients.Dispose()
    }

    It 'says of each what it is at the timeout, one for all' {
        $one, $two, $three = 'one', 'two', 'three' | ForEach-Object { Start-C10kServer -Name $_ }
        $two | Suspend-C10kServer
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $found = $one, $two, $three | Wait-C10kServer -State Suspended -Timeout 500ms -ErrorAction SilentlyContinue -ErrorVariable failed
        $watch.Elapsed.TotalSeconds | Should -BeGreaterOrEqual 0.5
        $watch.Ran.TotalSeconds | Should -BeLessThan 1
        $found.Name | Should -Be 'two'
        $failed | Should -HaveCount 2
        $failed[0].FullyQualifiedErrorId | Should -Be 'WaitTimeout,C10kServer.Commands.WaitC10kServerCommand'
        $failed[0].CategoryInfo.Category | Should -Be OperationTimeout
        "$($failed[0])" | Should -Match 'one was not Suspended within 0\.5 s: it is Running, with 0 connections'
        "$($failed[1])" | Should -Match '^three '
    }

    It 'says at once that a server is over and will never be that' {
        $server = Start-C10kServer -Name web
        $aside = Invoke-Aside '$Server | Wait-C10kServer -ConnectionCount 5 -Timeout 1h' $server
        [System.Threading.Thread]::Sleep(300)
        $aside.Call.IsCompleted | Should -BeFalse
        $server | Stop-C10kServer
        Receive-Aside $aside | Should -BeNullOrEmpty
        $problem = $aside.Shell.Streams.Error[0]
        $problem.FullyQualifiedErrorId | Should -Be 'WaitFailed,C10kServer.Commands.WaitC10kServerCommand'
        $problem.CategoryInfo.Category | Should -Be OperationStopped
        "$problem" | Should -Match 'web is Stopped'
        $aside.Shell.Dispose()
        $server | Wait-C10kServer -State Running -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed[0].FullyQualifiedErrorId | Should -BeLike 'WaitFailed,*'
    }

    It 'shows after a second how it stands, and ends at Ctrl+C' {
        $null = Start-C10kServer -Name web
        $aside = Invoke-Aside 'Wait-C10kServer web -ConnectionCount 5 -Timeout 1h'
        $shown = $aside.Shell.Streams.Progress
        Wait-Until { $shown.Count -gt 0 }
        $shown[0].StatusDescription | Should -Be 'for at 5 connections or more: web is Running, with 0 connections'
        Close-Aside $aside | Should -BeLessThan 0.5
        $aside.Shell.Dispose()
    }

    It 'wants a state or a number, and not both' {
        $set = (Get-Command Wait-C10kServer).ParameterSets
        foreach ($one in $set) {
            @($one.Parameters.Where({ $_.Name -in 'State', 'ConnectionCount' -and $_.IsMandatory })) | Should -HaveCount 1 -Because $one.Name
        }

        { Start-C10kServer | Wait-C10kServer -State Running -ConnectionCount 1 } | Should -Throw -ErrorId 'AmbiguousParameterSet,*'
    }
}

Describe 'Test-C10kServer' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer -Force
        Wait-ProcessLedger -Base $base
    }

    It 'is true of a server that accepts, and leaves nothing: <Name>' -ForEach @(
        @{ Name = 'Echo'; Given = @{} }
        @{ Name = 'Hello, which ends it first'; Given = @{ Protocol = 'Hello' } }
        @{ Name = 'Discard'; Given = @{ Protocol = 'Discard' } }
        @{ Name = 'every IPv4 interface'; Given = @{ Address = '0.0.0.0' } }
        @{ Name = 'IPv6'; Given = @{ Address = '::1' } }
        @{ Name = 'every interface'; Given = @{ Address = '::'; DualMode = $true } }
        @{ Name = 'ReusePort'; Given = @{ Dispatch = 'ReusePort'; WorkerCount = 3 } }
        @{ Name = 'a path'; Given = @{ UnixPath = "$([System.IO.Path]::GetTempPath())c10k-$PID.sock" } }
    ) {
        $server = Start-C10kServer @Given
        $running = Get-ProcessLedger
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $result = $server | Test-C10kServer
        $watch.Ran.TotalSeconds | Should -BeLessThan 2
        $result | Should -BeOfType ([bool])
        $result | Should -BeTrue
        Wait-Until { $server.Closed -eq 1 }
        $server.Accepted | Should -Be 1
        $server.ConnectionCount | Should -Be 0
        (Get-C10kConnection -Closed).CloseReason | Should -Not -Be Reset
        Wait-ProcessLedger -Base $running
    }

    It 'has put the count of connections back when it returns' {
        $server = Start-C10kServer
        $client = Open-Hold -Port $server.Port -Count 10
        Wait-Until { $server.ConnectionCount -eq 10 }
        foreach ($time in 1..50) {
            Test-C10kServer $server | Should -BeTrue
            $server.ConnectionCount | Should -Be 10
        }

        $server.Accepted | Should -Be 60
        $null = Close-TestClient -Client $client
    }

    It 'is true while others come and go by the thousand' {
        $server = Start-C10kServer -Workers 2
        $client = Open-TestClient -Argument 'churn', '--port', $server.Port, '--total', 20000
        Wait-Until { $server.Accepted -gt 100 }
        foreach ($time in 1..20) { Test-C10kServer $server | Should -BeTrue }
        (Read-TestClient -Client $client).broken | Should -Be 0
        Close-TestClient -Client $client | Should -Be 0
    }

    It 'is false of a server that is suspended, draining or stopped, for each in its place' {
        $servers = 'up', 'suspended', 'draining', 'stopped' | ForEach-Object { Start-C10kServer -Name $_ }
        $client = Open-Socket $servers[2]
        Wait-Until { $servers[2].ConnectionCount -eq 1 }
        $servers[1] | Suspend-C10kServer
        $servers[2] | Stop-C10kServer -Drain -Timeout 0 -ErrorAction SilentlyContinue
        $servers[3] | Stop-C10kServer
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $servers + $servers[0] | Test-C10kServer | Should -Be ($true, $false, $false, $false, $true)
        $watch.Ran.TotalSeconds | Should -BeLessThan 2
        $client.Dispose()
    }

    It 'is false at a limit: <Name>' -ForEach @(
        @{ Name = 'MaxConnection'; Given = @{ MaxConnection = 1 } }
        @{ Name = 'MaxConnectionPerAddress'; Given = @{ MaxConnectionPerAddress = 1 } }
    ) {
        $server = Start-C10kServer @Given
        $client = Open-Socket $server
        Wait-Until { $server.ConnectionCount -eq 1 }
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        Test-C10kServer $server | Should -BeFalse
        $watch.Ran.TotalSeconds | Should -BeLessThan 2
        $server.Rejected | Should -Be 1
        $client.Dispose()
        Wait-Until { $server.ConnectionCount -eq 0 }
        Test-C10kServer $server | Should -BeTrue
    }

    It 'is false of a server that has not accepted within -Timeout, though the kernel has answered for it' {
        $server = Start-C10kServer -AcceptRate 1
        $clients = 1..3 | ForEach-Object { Open-Socket $server }
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        Test-C10kServer $server -Timeout 300ms | Should -BeFalse
        $watch.Elapsed.TotalSeconds | Should -BeGreaterOrEqual 0.3
        $watch.Ran.TotalSeconds | Should -BeLessThan 0.8
        $clients.Dispose()
    }

    It 'ends at Ctrl+C' {
        $server = Start-C10kServer -Name web -AcceptRate 1
        $clients = 1..30 | ForEach-Object { Open-Socket $server }
        $aside = Invoke-Aside 'Test-C10kServer web -Timeout 1h'
        Wait-Until { $aside.Shell.Streams.Progress.Count -gt 0 }
        Close-Aside $aside | Should -BeLessThan 0.5
        $aside.Shell.Dispose()
        $clients.Dispose()
    }
}

Describe 'What acts on servers' {
    BeforeDiscovery {
        $acting = @(
            @{ Command = 'Restart-C10kServer'; Given = @{} }
            @{ Command = 'Resume-C10kServer'; Given = @{} }
            @{ Command = 'Set-C10kServer'; Given = @{ AcceptRate = 9 } }
            @{ Command = 'Stop-C10kServer'; Given = @{ Drain = $true } }
            @{ Command = 'Suspend-C10kServer'; Given = @{} }
            @{ Command = 'Test-C10kServer'; Given = @{} }
            @{ Command = 'Wait-C10kServer'; Given = @{ State = 'Running', 'Suspended' } }
        )
    }

    BeforeAll {
        $one = Start-C10kServer -Name 'live one'
        $two = Start-C10kServer -Name 'live two'
    }

    AfterAll {
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It '<Command> changes nothing with -WhatIf' -ForEach $acting.Where({ $_.Command -notmatch '^(Test|Wait)' }) {
        if ($Command -eq 'Resume-C10kServer') { $one | Suspend-C10kServer }
        $started, $options, $state = $one.StartTime, $one.Options, $one.State
        $one | & $Command @Given -PassThru -WhatIf | Should -BeNullOrEmpty
        $one.State | Should -Be $state
        $one.StartTime | Should -Be $started
        $one.Options.AcceptRate | Should -Be $options.AcceptRate
        $one | Resume-C10kServer
    }

    It '<Command> says that a name or an Id is not there, and is silent where a pattern matches nothing' -ForEach $acting {
        $class = "C10kServer.Commands.$($Command -replace '-')Command"
        & $Command nobody @Given -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
        $failed[0].FullyQualifiedErrorId | Should -Be "ServerNotFound,$class"
        & $Command -Id 999999 @Given -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
        $failed[0].FullyQualifiedErrorId | Should -Be "ServerNotFound,$class"
        & $Command nobody* @Given -ErrorVariable failed | Should -BeNullOrEmpty
        $failed | Should -BeNullOrEmpty
    }

    It '<Command> takes names, patterns, Ids and objects, and of these names and objects from the pipeline' -ForEach $acting.Where({ $_.Command -notmatch '^Stop' }) {
        $more = if ((Get-Command $Command).Parameters.ContainsKey('PassThru')) { @{ PassThru = $true } } else { @{} }
        @(& $Command 'LIVE*' @Given @more) | Should -HaveCount 2
        @(& $Command 'live one', 'live t?o' @Given @more) | Should -HaveCount 2
        @(& $Command -Id $one.Id, $two.Id @Given @more) | Should -HaveCount 2
        @(& $Command -InputObject $one, $two @Given @more) | Should -HaveCount 2
        @($one, $two | & $Command @Given @more) | Should -HaveCount 2
        @('LIVE one', 'live t?o' | & $Command @Given @more) | Should -HaveCount 2
        @(& $Command -InputObject 'live one', $two @Given @more) | Should -HaveCount 2
        @(& $Command $one @Given @more) | Should -HaveCount 1
        @(& $Command -Name 'live*' @Given @more) | Should -HaveCount 2
        $one, $two | Resume-C10kServer
    }

    It '<Command> completes names and Ids' -ForEach $acting {
        $line = "$Command -Name live"
        $names = [System.Management.Automation.CommandCompletion]::CompleteInput($line, $line.Length, $null).CompletionMatches
        $names.CompletionText -join ' ' | Should -Be "'live one' 'live two'"
        $line = "$Command -Id "
        $ids = [System.Management.Automation.CommandCompletion]::CompleteInput($line, $line.Length, $null).CompletionMatches
        $ids.CompletionText -join ' ' | Should -Be "$($one.Id) $($two.Id)"
    }
}
