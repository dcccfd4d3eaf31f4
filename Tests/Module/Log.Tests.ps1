# The logs of servers from the shell: records, levels, files, and following them.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    $folder = [System.IO.Directory]::CreateTempSubdirectory('c10k-log-').FullName
    $base = Get-ProcessLedger

    # A connection that opens and closes: two records at Debug.
    function Invoke-Visit($Server) {
        $closed = $Server.Closed
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $Server.Port)
        $client.Dispose()
        Wait-Until -Because 'the visit is over' { $Server.Closed -gt $closed }
    }

    # On a busy machine a worker is held up now and then, and says so.
    function Clear-Stall { process { if ($_.EventName -notlike '*Stall*') { $_ } } }

    # Runs a script in a runspace of its own, whose output is read while it goes on.
    function Open-Follower($Script, $Argument) {
        $shell = [powershell]::Create([initialsessionstate]::CreateDefault2())
        $null = $shell.AddScript("param(`$Argument) Import-Module '$root/C10kServer.psd1'; $Script").AddArgument($Argument)
        $output = [System.Management.Automation.PSDataCollection[psobject]]::new()

        # Else who walks through it waits for what is still to come.
        $output.EnumeratorNeverBlocks = $true
        @{ Shell = $shell; Output = $output; Run = $shell.BeginInvoke([System.Management.Automation.PSDataCollection[psobject]]$null, $output) }
    }
}

AfterAll {
    Get-C10kServer | Stop-C10kServer
    [System.IO.Directory]::Delete($folder, $true)
}

Describe 'Get-C10kLog' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'gets what a server has logged, oldest first' {
        $server = Start-C10kServer -Name web -LogLevel Debug
        Invoke-Visit $server
        Invoke-Visit $server
        $records = @(Get-C10kLog web | Clear-Stall)
        $records[0] | Should -BeOfType ([C10kServer.LogRecord])
        $records.EventName -join ' ' | Should -Be 'ServerStarted ConnectionOpened ConnectionClosed ConnectionOpened ConnectionClosed'
        $records.EventId -join ' ' | Should -Be '1 20 21 20 21'
        $all = @(Get-C10kLog web)
        $all.Sequence -join ' ' | Should -Be (1..$all.Count -join ' ')
        $records[1].Level | Should -Be Debug
        $records[1].ServerName | Should -Be web
        $records[1].ServerId | Should -Be $server.Id
        $records[1].Message | Should -Match '^web: connection \d+ from 127\.0\.0\.1:\d+ opened'
        $records[1].Exception | Should -BeNullOrEmpty
        ([datetimeoffset]::Now - $records[1].Time).TotalSeconds | Should -BeLessThan 30
    }

    It 'leaves out what is below -Level, and all but the -Last ones' {
        $server = Start-C10kServer -Name web -LogLevel Debug
        Invoke-Visit $server
        Get-C10kLog web -Level Information | Clear-Stall | Should -HaveCount 1
        Get-C10kLog web -Level Warning | Clear-Stall | Should -BeNullOrEmpty
        $all = @(Get-C10kLog web)
        (Get-C10kLog web -Last 2).Sequence -join ' ' | Should -Be "$($all.Count - 1) $($all.Count)"
        (Get-C10kLog web -Level Information -Last 1000).EventId -contains 20 | Should -BeFalse
        Get-C10kLog web -Last 0 | Should -BeNullOrEmpty
    }

    It 'logs no more than -LogLevel says, which the options show' {
        $server = Start-C10kServer -Name quiet -LogLevel None
        Invoke-Visit $server
        $server | Stop-C10kServer
        $server | Get-C10kLog | Should -BeNullOrEmpty
        $server.Options.LogLevel | Should -Be None
        (Start-C10kServer).Options.LogLevel | Should -Be Information
    }

    It 'merges the logs of several servers by time, each whole and in order' {
        $one = Start-C10kServer -Name one -LogLevel Debug
        $two = Start-C10kServer -Name two -LogLevel Debug
        foreach ($time in 1..3) { Invoke-Visit $one; Invoke-Visit $two }
        $all = @(Get-C10kLog)
        $records = @($all | Clear-Stall)
        $records | Should -HaveCount 14
        for ($i = 1; $i -lt $records.Count; $i++) {
            $records[$i].Time -ge $records[$i - 1].Time | Should -BeTrue
        }
        $sequence = @($all.Where({ $_.ServerName -eq 'two' }).Sequence)
        $sequence -join ' ' | Should -Be (1..$sequence.Count -join ' ')
        $one, $two | Get-C10kLog | Clear-Stall | Should -HaveCount 14
        Get-C10kLog on* | Clear-Stall | Should -HaveCount 7
        Get-C10kLog $two.Id | Clear-Stall | Should -HaveCount 7
        ($records | Get-C10kServer).Name | Should -Contain 'two'
        $records[0] | Get-C10kLog | Clear-Stall | Should -HaveCount 7
    }

    It 'reads the log of a stopped server from its object' {
        $server = Start-C10kServer -Name gone
        $server | Stop-C10kServer
        ($server | Get-C10kLog).EventName -join ' ' | Should -Be 'ServerStarted ServerStopped'
        Get-C10kLog gone -ErrorAction SilentlyContinue -ErrorVariable problem | Should -BeNullOrEmpty
        $problem[0].FullyQualifiedErrorId | Should -Be 'ServerNotFound,C10kServer.Commands.GetC10kLogCommand'
    }

    It 'with -Wait writes new records within half a second, the last one of all too, and ends with the server' {
        $server = Start-C10kServer -Name followed -LogLevel Debug
        $follower = Open-Follower '$Argument | Get-C10kLog -Wait | Where-Object EventName -notlike *Stall*' $server
        try {
            Wait-Until { $follower.Output.Count -eq 1 }
            foreach ($time in 1..5) {
                Invoke-Visit $server
                $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
                Wait-Until { $follower.Output.Count -eq 1 + 2 * $time }
                $watch.Ran.TotalSeconds | Should -BeLessThan 0.5
            }
            $server | Stop-C10kServer
            $follower.Run.AsyncWaitHandle.WaitOne(5000) | Should -BeTrue
            $follower.Shell.EndInvoke($follower.Run)
            $follower.Shell.Streams.Error | Should -BeNullOrEmpty
            $follower.Output[-1].EventName | Should -Be ServerStopped
            $follower.Output | Should -HaveCount 12
        } finally {
            $follower.Shell.Dispose()
        }
    }

    It 'with -Wait ends with a server that has nothing to say at its end' {
        $server = Start-C10kServer -Name mute -LogLevel None
        $follower = Open-Follower "'begun'; `$Argument | Get-C10kLog -Wait" $server
        try {
            Wait-Until { $follower.Output.Count -eq 1 }
            $server | Stop-C10kServer
            $follower.Run.AsyncWaitHandle.WaitOne(5000) | Should -BeTrue
            $follower.Output | Should -HaveCount 1
        } finally {
            $follower.Shell.Dispose()
        }
    }

    It 'with -Wait and -Last 0 writes those to come alone, and Ctrl+C ends it within half a second' {
        $server = Start-C10kServer -Name followed -LogLevel Debug
        $follower = Open-Follower 'Get-C10kLog -Last 0 -Wait'
        try {
            # Until it follows, nothing tells that it does: visits are made until one is seen.
            $patience = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
            while ($follower.Output.Count -eq 0 -and $patience.Elapsed.TotalSeconds -lt 180) { Invoke-Visit $server }
            $follower.Output.Count | Should -BeGreaterThan 0
            $follower.Output[0].EventName | Should -Not -Be ServerStarted
            $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
            $follower.Shell.Stop()
            $watch.Ran.TotalSeconds | Should -BeLessThan 0.5
        } finally {
            $follower.Shell.Dispose()
        }
    }

    It 'warns of records that were replaced before -Wait could read them' {
        $server = Start-C10kServer -Name fast -LogLevel Debug
        $gate = [System.Threading.ManualResetEventSlim]::new()
        $follower = Open-Follower '$Argument.Server | Get-C10kLog -Wait | ForEach-Object { $Argument.Gate.Wait(); $_ }' @{ Server = $server; Gate = $gate }
        try {
            # It has the first one in its hands, and reads on when the gate opens. By then, more has come than a log keeps.
            foreach ($time in 1..700) { Invoke-Visit $server }
            $gate.Set()
            Wait-Until { $follower.Shell.Streams.Warning.Count -gt 0 }
            $server | Stop-C10kServer
            $follower.Run.AsyncWaitHandle.WaitOne(10000) | Should -BeTrue
            $lost = [long][regex]::Match("$($follower.Shell.Streams.Warning[0])", '^\d+').Value
            $lost | Should -BeGreaterThan 0
            $follower.Output.Count + $lost | Should -Be $follower.Output[-1].Sequence
        } finally {
            $gate.Set()
            $follower.Shell.Dispose()
        }
    }
}

Describe 'Start-C10kServer -LogPath' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'appends each record as a line, and shows the whole path' {
        $path = "$folder/plain.log"
        [System.IO.File]::WriteAllText($path, "kept`n")
        $server = Start-C10kServer -Name web -LogLevel Debug -LogPath $path
        Invoke-Visit $server
        $server | Stop-C10kServer
        $lines = [System.IO.File]::ReadAllLines($path) -notmatch ' WorkerStalled\('
        $lines | Should -HaveCount 5
        $lines[0] | Should -Be kept
        $lines[2] | Should -Match '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d Debug ConnectionOpened\(20\) web: connection \d+ from '
        $lines[4] | Should -Match ' Information ServerStopped\(2\) web has stopped'
        $server.Options.LogPath | Should -Be $path
    }

    It 'takes a path relative to the shell''s location' {
        $here = $ExecutionContext.SessionState.Path.CurrentLocation.Path
        try {
            $null = $ExecutionContext.SessionState.Path.SetLocation($folder)
            $server = Start-C10kServer -Name web -LogPath relative.log
        } finally {
            $null = $ExecutionContext.SessionState.Path.SetLocation($here)
        }
        $server.Options.LogPath | Should -Be "$folder/relative.log"
        Wait-Until { [System.IO.FileInfo]::new("$folder/relative.log").Length -gt 0 }
    }

    It 'is opened anew when logrotate has moved it away' {
        $path = "$folder/rotated.log"
        $server = Start-C10kServer -Name web -LogLevel Debug -LogPath $path
        Wait-Until { [System.IO.FileInfo]::new($path).Length -gt 0 }
        [System.IO.File]::Move($path, "$path.1")
        $patience = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        while (-not [System.IO.File]::Exists($path) -and $patience.Elapsed.TotalSeconds -lt 180) { Invoke-Visit $server }
        $server | Stop-C10kServer
        $lines = (@([System.IO.File]::ReadAllLines("$path.1")) + [System.IO.File]::ReadAllLines($path)) -notmatch ' WorkerStalled\('
        $lines.Count | Should -Be (2 + 2 * $server.Accepted)
    }

    It 'runs on one thread more, and without it on none' {
        $null = Start-C10kServer -Name web -Workers 1
        (Get-ProcessLedger).Threads | Should -Be ($base.Threads + 2)
        $null = Start-C10kServer -Name log -Workers 1 -LogPath "$folder/thread.log"
        (Get-ProcessLedger).Threads | Should -Be ($base.Threads + 5)
    }

    It 'that cannot be written to is a terminating error: <Path>' -ForEach @(
        @{ Path = 'folder/missing/server.log'; Category = 'ObjectNotFound' }
        @{ Path = 'folder'; Category = 'InvalidArgument' }
        @{ Path = "folder/$('x' * 300)"; Category = 'OpenError' }
    ) {
        $problem = { Start-C10kServer -Name failed -LogPath ($Path -replace '^folder', $folder) } | Should -Throw -PassThru
        $problem.FullyQualifiedErrorId | Should -Be 'LogPathNotWritable,C10kServer.Commands.StartC10kServerCommand'
        "$($problem.CategoryInfo.Category)" | Should -Be $Category
        Get-C10kServer | Should -BeNullOrEmpty
        (Start-C10kServer -Name failed).State | Should -Be Running
    }

    It 'that is no place of the file system is an error, and -WhatIf makes no file' {
        { Start-C10kServer -LogPath 'Env:\log' } | Should -Throw -ErrorId 'InvalidArgument,C10kServer.Commands.StartC10kServerCommand'
        Start-C10kServer -LogPath "$folder/never.log" -WhatIf
        [System.IO.File]::Exists("$folder/never.log") | Should -BeFalse
    }

    It 'on a full disk costs the log alone, and LastError says so' {
        $server = Start-C10kServer -Name full -LogLevel Debug -LogPath /dev/full
        foreach ($time in 1..20) { Invoke-Visit $server }
        Wait-Until { $server.LastError }
        $server.LastError | Should -Match '/dev/full.*errno 28'
        $server.State | Should -Be Running
        $client = Open-TestClient -Argument 'echo', '--port', $server.Port, '--count', 20, '--messages', 10
        (Read-TestClient -Client $client).wrong | Should -Be 0
        Close-TestClient -Client $client | Should -Be 0
        $server | Get-C10kLog | Should -Not -BeNullOrEmpty
    }
}
