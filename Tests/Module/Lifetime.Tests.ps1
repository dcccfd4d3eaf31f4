# The module's life in a shell: removal, forced import, other runspaces, exit.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $manifest = "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/C10kServer.psd1"
    Import-Module $manifest
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/../Host/TestShell.psm1"
    $base = Get-ProcessLedger
}

Describe 'The module in a shell' {
    It 'is imported, starts a server and is removed twenty times, and nothing is left' {
        foreach ($time in 1..20) {
            Import-Module $manifest
            $server = Start-C10kServer -Workers 2
            Remove-Module C10kServer
            $server.State | Should -Be Stopped
        }

        Import-Module $manifest
        Wait-ProcessLedger -Base $base
    }

    It 'stops its servers when it is imported by force' {
        foreach ($time in 1..20) {
            $server = Start-C10kServer
            Import-Module $manifest -Force
            $server.State | Should -Be Stopped
            Get-C10kServer | Should -BeNullOrEmpty
        }

        Wait-ProcessLedger -Base $base
    }

    It 'is shared by the runspaces of the process, each of which stops its own servers' {
        $mine = Start-C10kServer -Name mine
        $shell = [powershell]::Create([initialsessionstate]::CreateDefault2())
        try {
            $null = $shell.AddScript("Import-Module '$manifest'; Start-C10kServer -Name theirs; (Get-C10kServer).Name -join ' '; Remove-Module C10kServer")
            $output = $shell.Invoke()
            $shell.Streams.Error | Should -BeNullOrEmpty
            $output[1] | Should -Be 'mine theirs'
            $output[0].State | Should -Be Stopped
            $mine.State | Should -Be Running
        } finally {
            $shell.Dispose()
            $mine | Stop-C10kServer
        }
    }

    It 'leaves the servers of a runspace that was closed to the others' {
        $shell = [powershell]::Create([initialsessionstate]::CreateDefault2())
        $null = $shell.AddScript("Import-Module '$manifest'; Start-C10kServer -Name orphan -Workers 2").Invoke()
        $shell.HadErrors | Should -BeFalse
        $shell.Runspace.Close()
        $shell.Dispose()
        $server = Get-C10kServer orphan
        $server.State | Should -Be Running
        Test-C10kServer orphan | Should -BeTrue
        @(Get-C10kServer -Scope Runspace) | Should -HaveCount 0
        $server | Stop-C10kServer
        $server.State | Should -Be Stopped
        Wait-ProcessLedger -Base $base
    }

    It 'starts and stops a hundred servers in ten runspaces at the same time, each with a name, an Id and a port of its own' {
        $gate = [System.Threading.ManualResetEventSlim]::new()
        $script = {
            param($Manifest, $Gate)
            Import-Module $Manifest
            $Gate.Wait()
            foreach ($round in 1..2) {
                $mine = foreach ($number in 1..5) { Start-C10kServer -Workers 1 -MaxConnection 10 }
                foreach ($server in $mine) {
                    $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
                    $client.GetStream().WriteByte(65)
                    if ($client.GetStream().ReadByte() -ne 65) { throw "$server does not echo" }
                    $client.Dispose()
                    "$($server.Id) $($server.Name) $($server.Port) $((Get-C10kServer -Id $server.Id).Name)"
                }

                # By every way that there is.
                $mine[0] | Stop-C10kServer
                Stop-C10kServer $mine[1].Name
                Stop-C10kServer -Id $mine[2].Id -Drain -Timeout 10
                $mine[3].Dispose()
                if ($round -eq 2) { Remove-Module C10kServer } else { $mine[4] | Stop-C10kServer -Force }
                foreach ($server in $mine) {
                    if ("$($server.State)" -ne 'Stopped') { throw "$server is $($server.State)" }
                    $counted = "$($server.Accepted) accepted, $($server.Closed) closed"
                    if ($counted -ne '1 accepted, 1 closed') { throw "${server}: $counted" }
                }
            }
        }
        $running = foreach ($number in 1..10) {
            $shell = [powershell]::Create([initialsessionstate]::CreateDefault2())
            $null = $shell.AddScript($script).AddArgument($manifest).AddArgument($gate)
            @{ Shell = $shell; Run = $shell.BeginInvoke() }
        }
        $gate.Set()
        $lines = foreach ($each in $running) {
            $each.Run.AsyncWaitHandle.WaitOne(180000) | Should -BeTrue
            $each.Shell.EndInvoke($each.Run)
            "$($each.Shell.Streams.Error)" | Should -BeNullOrEmpty
            $each.Shell.Dispose()
        }
        $lines | Should -HaveCount 100
        $ids = [System.Collections.Generic.HashSet[string]]::new()
        $ports = [System.Collections.Generic.HashSet[string]]::new()
        foreach ($line in $lines) {
            $id, $name, $port, $found = $line -split ' '
            $ids.Add($id) | Should -BeTrue -Because "no other server has the Id $id"
            $null = $ports.Add($port)
            $found | Should -Be $name
        }

        # Of one that has ended the kernel may give the port to another.
        $ports.Count | Should -BeGreaterThan 49
        Get-C10kServer | Should -BeNullOrEmpty
        Wait-ProcessLedger -Base $base
    }

    It 'opens no thread and no descriptor when it is imported, and does not load the engine' {
        $shell = Open-TestShell -Command @"
            Import-Module '$PSScriptRoot/../Clients/TestClient.psm1'
            `$before = Get-ProcessLedger
            Import-Module '$manifest'
            `$null = Get-C10kServer
            `$null = Get-Help Start-C10kServer
            `$null = [System.Management.Automation.CommandCompletion]::CompleteInput('Stop-C10kServer ', 16, `$null)
            `$after = Get-ProcessLedger
            `$text = [AppDomain]::CurrentDomain.GetAssemblies().ForEach({ `$_.GetName().Name }) -join ' '
            `$descriptors = `$after.Descriptors - `$before.Descriptors
            "engine=`$(`$text -match 'C10kServer\.Engine') cmdlets=`$(`$text -match 'C10kServer\.Cmdlets')"
            "threads=`$(`$after.Threads) descriptors=`$descriptors"
"@
        (Wait-TestShell $shell) -split '\r?\n' | Should -Be 'engine=False cmdlets=True', 'threads=0 descriptors=0'
    }

    It 'serves on through Ctrl+C, twenty times, and nothing is left after the stop' {
        $shell = Open-TestShell
        try {
            $null = Invoke-TestShell $shell -Line "Import-Module '$manifest', '$PSScriptRoot/../Clients/TestClient.psm1'; 'ready'" -Until 'ready'
            $port = Invoke-TestShell $shell -Line '$base = Get-ProcessLedger; $s = Start-C10kServer -Workers 2; "port $($s.Port)"' -Until 'port '
            $client = Open-TestClient -Argument 'hold', '--port', $port, '--count', 50
            (Read-TestClient -Client $client).failed | Should -Be 0
            foreach ($time in 1..20) {
                $null = Invoke-TestShell $shell -Line "'begun'; while (`$true) { `$null = Get-C10kConnection; `$null = Get-C10kServer }" -Until 'begun'
                [System.Diagnostics.Process]::Start('kill', "-INT $($shell.Id)").WaitForExit()
                (Invoke-TestClient -Client $client -Line 'echo 1 100').wrong | Should -Be 0
            }

            Invoke-TestShell $shell -Line '"state $($s.State) $($s.ConnectionCount)"' -Until 'state ' | Should -Be 'Running 50'
            $null = Invoke-TestShell $shell -Line '$s | Stop-C10kServer; Wait-ProcessLedger -Base $base; "flat"' -Until 'flat'
            (Invoke-TestClient -Client $client -Line 'wait ended=50').open | Should -Be 0
            $null = Close-TestClient -Client $client
            $shell.StandardInput.Close()
            $shell.WaitForExit(180000) | Should -BeTrue
        } finally {
            Close-TestShell $shell
        }
    }

    It 'lets <Way> end the process within two seconds while servers run' -ForEach @(
        @{ Way = 'exit' }
        @{ Way = 'the end of input' }
        @{ Way = 'SIGTERM' }
    ) {
        $shell = Open-TestShell
        try {
            $null = Invoke-TestShell $shell -Line "Import-Module '$manifest'; 'ready'" -Until 'ready'
            $line = '1..3 | ForEach-Object { $s = Start-C10kServer -Workers 4 }; "port $($s.Port)"'
            $port = Invoke-TestShell $shell -Line $line -Until 'port '
            $client = Open-TestClient -Argument 'hold', '--port', $port, '--count', 100
            (Read-TestClient -Client $client).failed | Should -Be 0
            $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
            switch ($Way) {
                'exit' { $shell.StandardInput.WriteLine('exit'); $shell.StandardInput.Flush() }
                'the end of input' { $shell.StandardInput.Close() }
                'SIGTERM' { [System.Diagnostics.Process]::Start('kill', "-TERM $($shell.Id)").WaitForExit() }
            }

            $shell.WaitForExit(180000) | Should -BeTrue
            $watch.Ran.TotalSeconds | Should -BeLessThan 2
            (Invoke-TestClient -Client $client -Line 'wait ended=100').open | Should -Be 0
            $null = Close-TestClient -Client $client
        } finally {
            Close-TestShell $shell
        }
    }
}
