# Invoke-C10kLoad from the shell: its targets, its result, its errors, progress and Ctrl+C.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    $manifest = "$root/C10kServer.psd1"
    Import-Module $manifest
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"

    # Starts a script in a runspace of its own, with the module and what it is told.
    function Invoke-Elsewhere([string] $Script, [hashtable] $Variable) {
        $shell = [powershell]::Create([initialsessionstate]::CreateDefault2())
        $null = $shell.AddScript("Import-Module '$manifest'").Invoke()
        $shell.Commands.Clear()
        foreach ($name in $Variable.Keys) { $shell.Runspace.SessionStateProxy.SetVariable($name, $Variable[$name]) }
        $null = $shell.AddScript($Script)
        $shell
    }

    function Get-FreePort {
        $listener = [System.Net.Sockets.TcpListener]::new([ipaddress]::Loopback, 0)
        $listener.Start()
        $listener.LocalEndpoint.Port
        $listener.Stop()
    }

    $base = Get-ProcessLedger
    $server = Start-C10kServer -Name Loaded -Workers 2
}

AfterAll {
    $server | Stop-C10kServer
    Wait-ProcessLedger -Base $base
}

Describe 'A load' {
    It 'on a port sends what it is told, and says what it found' {
        $received = $server.BytesReceived
        $result = Invoke-C10kLoad -Port $server.Port -Connection 20 -Count 3000 -MessageSize 100 -Pipeline 4
        $result | Should -BeOfType ([C10kServer.LoadResult])
        $result.ErrorDetail | Should -BeNullOrEmpty
        $result.Errors | Should -Be 0
        $result.Requests | Should -Be 3000
        $result.Connections | Should -Be 20
        $result.Mode | Should -Be Echo
        $result.Target | Should -Be "127.0.0.1:$($server.Port)"
        $result.MessageSize | Should -Be 100
        $result.Pipeline | Should -Be 4
        $result.Rate | Should -Be 0
        $result.RequestsPerSecond | Should -BeGreaterThan 0
        [Math]::Abs($result.BytesPerSecond - 100 * $result.RequestsPerSecond) | Should -BeLessThan 10
        $result.P50 | Should -BeGreaterThan ([timespan]::Zero)
        $result.P90 | Should -BeGreaterOrEqual $result.P50
        $result.P99 | Should -BeGreaterOrEqual $result.P90
        $result.P999 | Should -BeGreaterOrEqual $result.P99
        $result.Max | Should -BeGreaterOrEqual $result.P999
        $server.BytesReceived - $received | Should -Be 300000
    }

    It 'goes to each server that is piped in' {
        $every = Start-C10kServer -Name Every -Address 0.0.0.0
        $results = Get-C10kServer | Invoke-C10kLoad -Connection 5 -Count 100
        $every | Stop-C10kServer
        $results | Should -HaveCount 2
        $results.Requests -join ' ' | Should -Be '100 100'
        $results.Target -join ' ' | Should -Be "127.0.0.1:$($server.Port) 127.0.0.1:$($every.Port)"
    }

    It 'takes IPv6, and Unix sockets by path and by server' {
        $path = [System.IO.Path]::Combine([System.IO.Path]::GetTempPath(), "c10k-load-$PID.sock")
        $six = Start-C10kServer -Address ::1
        $unix = Start-C10kServer -UnixPath $path
        (Invoke-C10kLoad -Address ::1 -Port $six.Port -Count 100).Target | Should -Be "[::1]:$($six.Port)"
        (Invoke-C10kLoad -UnixPath $path -Count 100).Requests | Should -Be 100
        ($unix | Invoke-C10kLoad -Count 100).Target | Should -Be "unix:$path"
        $six, $unix | Stop-C10kServer
    }

    It 'lasts as long as it is told' {
        $result = $server | Invoke-C10kLoad -Connection 5 -Duration 300ms
        $result.Duration.TotalSeconds | Should -BeGreaterOrEqual 0.3
        $result.Duration.TotalSeconds | Should -BeLessThan 5
        $result.Requests | Should -BeGreaterThan 50
    }

    It 'keeps its rate' {
        $result = $server | Invoke-C10kLoad -Rate 200 -Duration 500ms
        $result.Requests + $result.Unsent | Should -Be 100
        $result.Rate | Should -Be 200
        $result.Errors | Should -Be 0
    }

    It 'churns' {
        $accepted = $server.Accepted
        $result = $server | Invoke-C10kLoad -Mode Churn -Connection 10 -Count 300
        $result.Requests | Should -Be 300
        $result.Connections | Should -Be 300
        $server.Accepted - $accepted | Should -Be 300
    }

    It 'holds and echoes at the end' {
        $result = $server | Invoke-C10kLoad -Mode Idle -Connection 300 -Duration 100ms
        $result.Requests | Should -Be 300
        $result.Errors | Should -Be 0
        $server.PeakConnectionCount | Should -BeGreaterOrEqual 300
    }

    It 'writes progress once a second, and takes it back' {
        $shell = Invoke-Elsewhere '$server | Invoke-C10kLoad -Connection 5 -Duration 2500ms' @{ server = $server }
        $result = $shell.Invoke()
        $records = @($shell.Streams.Progress)
        $shell.Dispose()
        $result.Errors | Should -Be 0
        $shown = @($records.Where({ $_.Activity -like 'Echo load on *' }))
        $shown.Count | Should -BeGreaterOrEqual 3
        $shown[0].StatusDescription | Should -Match '^\d+ requests, \d+ a second$'
        $shown[0].PercentComplete | Should -BeGreaterThan 10
        $shown[0].SecondsRemaining | Should -BeLessOrEqual 2
        "$($shown[-1].RecordType)" | Should -Be 'Completed'
    }

    It 'ends within half a second of Ctrl+C, without a result, and leaves nothing: <Mode>' -ForEach @(
        @{ Mode = 'Echo'; More = '' }
        @{ Mode = 'Echo'; More = '-Rate 100' }
        @{ Mode = 'Churn'; More = '' }
        @{ Mode = 'Idle'; More = '' }
    ) {
        $before = Get-ProcessLedger
        $shell = Invoke-Elsewhere "`$server | Invoke-C10kLoad -Mode $Mode $More -Connection 200 -Duration 10m" @{ server = $server }
        $running = $shell.BeginInvoke()
        Wait-Until { $server.ConnectionCount -gt 0 -and (Get-ProcessLedger).Threads -gt $before.Threads }
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $shell.Stop()
        $watch.Ran.TotalMilliseconds | Should -BeLessThan 500

        # The cmdlet has ended, so its thread has.
        (Get-ProcessLedger).Threads | Should -BeLessOrEqual $before.Threads
        { $shell.EndInvoke($running) } | Should -Throw
        $shell.Dispose()
        Wait-Until { $server.ConnectionCount -eq 0 }
        Wait-ProcessLedger -Base $before
    }
}

Describe 'A load that cannot be' {
    It 'says that nobody listens' {
        $port = Get-FreePort
        $err = { Invoke-C10kLoad -Port $port -Connection 7 } | Should -Throw -PassThru
        $err.FullyQualifiedErrorId | Should -Be 'ConnectFailed,C10kServer.Commands.InvokeC10kLoadCommand'
        "$($err.CategoryInfo.Category)" | Should -Be 'ConnectionError'
        $err.Exception.Message | Should -BeLike "No connection to 127.0.0.1:$port could be made, in 7 tries: Connection refused*"
        $err.Exception.Errno | Should -Be 111
    }

    It 'says how many connections the process has descriptors for' {
        $limit = [int][regex]::Match([System.IO.File]::ReadAllText('/proc/self/limits'), 'Max open files\s+(\d+)').Groups[1].Value
        $err = { $server | Invoke-C10kLoad -Connection $limit -ErrorAction Stop } | Should -Throw -PassThru
        $err.FullyQualifiedErrorId | Should -Be 'DescriptorLimit,C10kServer.Commands.InvokeC10kLoadCommand'
        "$($err.CategoryInfo.Category)" | Should -Be 'LimitsExceeded'
        $err.Exception.Message | Should -BeLike "The process may have $limit descriptors*other ends are the server's*Ask for * at most*"

        # The server is found by its port too.
        $most = [int][regex]::Match($err.Exception.Message, 'Ask for (\d+)').Groups[1].Value
        $most | Should -BeLessThan ($limit / 2)
        $err = { Invoke-C10kLoad -Port $server.Port -Connection ($most + 100) } | Should -Throw -PassThru
        $err.FullyQualifiedErrorId | Should -BeLike 'DescriptorLimit,*'
    }

    It 'goes on to the next server, with an error for one that is stopped' {
        $stopped = Start-C10kServer
        $stopped | Stop-C10kServer
        $results = $stopped, $server | Invoke-C10kLoad -Count 100 -ErrorAction SilentlyContinue -ErrorVariable problems
        $results | Should -HaveCount 1
        $results.Requests | Should -Be 100
        $problems | Should -HaveCount 1
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'ServerNotRunning,*'
    }

    It 'says which parameter is wrong: <Name>' -ForEach @(
        @{ Name = '-Connection'; Given = @{ Connection = 0 } }
        @{ Name = '-MessageSize'; Given = @{ MessageSize = 17mb } }
        @{ Name = '-Pipeline'; Given = @{ Mode = 'Churn'; Pipeline = 2 } }
        @{ Name = '-Rate'; Given = @{ Rate = -1 } }
        @{ Name = '-Rate'; Given = @{ Mode = 'Idle'; Rate = 5 } }
        @{ Name = '-Count'; Given = @{ Mode = 'Idle'; Count = 5 } }
        @{ Name = '-Duration'; Given = @{ Duration = 0 } }
        @{ Name = '-Timeout'; Given = @{ Timeout = 0 } }
    ) {
        $err = { Invoke-C10kLoad -Port $server.Port @Given } | Should -Throw -PassThru
        $err.FullyQualifiedErrorId | Should -BeLike 'InvalidArgument,*'
        $err.Exception.Message | Should -BeLike "${Name}: *"
    }

    It 'takes no connection for a server' {
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
        Wait-Until { $server.ConnectionCount -eq 1 }
        { Get-C10kConnection | Invoke-C10kLoad -Count 1 -ErrorAction Stop } | Should -Throw '*Put Get-C10kServer between*'
        $client.Dispose()
    }
}

Describe 'A server that is no echo' {
    It 'is found out: <Protocol>' -ForEach @(
        @{ Protocol = 'Discard'; Property = 'Timeouts'; Words = 'got no answer in time' }
        @{ Protocol = 'Hello'; Property = 'WrongBytes'; Words = 'brought bytes that were not their own' }
    ) {
        $other = Start-C10kServer -Protocol $Protocol
        $result = $other | Invoke-C10kLoad -Connection 5 -Duration 200ms -Timeout 200ms
        $other | Stop-C10kServer
        $result.$Property | Should -Be 5
        $result.Errors | Should -Be 5
        $result.ErrorDetail | Should -Be "5 $Words"
        $result.Requests | Should -Be 0
    }
}

Describe 'The text of a latency' {
    It 'has at most seven characters: <Given> is <Text>' -ForEach @(
        @{ Given = '00:00:00'; Text = '0.00 us' }
        @{ Given = '00:00:00.0000875'; Text = '87.5 us' }
        @{ Given = '00:00:00.0009994'; Text = '999 us' }
        @{ Given = '00:00:00.0009996'; Text = '1.00 ms' }
        @{ Given = '00:00:00.0123456'; Text = '12.3 ms' }
        @{ Given = '00:00:01.5'; Text = '1.50 s' }
        @{ Given = '00:16:40'; Text = '1000 s' }
    ) {
        [C10kServer.DisplayText]::Latency([timespan]$Given) | Should -Be $Text
    }
}
